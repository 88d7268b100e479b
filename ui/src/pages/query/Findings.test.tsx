import { cleanup, fireEvent, render } from "@testing-library/preact";
import { afterEach, expect, it, vi } from "vitest";

import { ApiError } from "../../api/client";
import { QueryFailure } from "./Findings";

afterEach(cleanup);

it("marks the place of an error and offers what was meant", () => {
  const onFix = vi.fn();
  const message =
    'invalid parameter "query": 1:6: parse error: expected type range vector in call to function "rate", got instant vector';
  const { container, getByText } = render(
    <QueryFailure error={new ApiError("bad_data", message, 400)} expr="rate(up)" onFix={onFix} />,
  );
  expect(container.querySelector(".place-before")?.textContent).toBe("rate(");
  fireEvent.click(getByText("Add [5m]"));
  expect(onFix).toHaveBeenCalledWith("rate(up[5m])");
});

it("shows markup in a query as text", () => {
  const { container } = render(
    <QueryFailure error={new ApiError("bad_data", "1:1: parse error: <img src=x>", 400)} expr="<img src=x>" onFix={vi.fn()} />,
  );
  expect(container.querySelector("img")).toBeNull();
  expect(container.textContent).toContain("<img src=x>");
});
