import { fireEvent, render } from "@testing-library/preact";
import { expect, test } from "vitest";

import { param, paramOf } from "../lib/router";
import { FilterChoice, FilterSelect } from "./FilterChoice";

const STATES = ["up", "down"] as const;

test("a choice stands in the address, and is given up by choosing it again", () => {
  const shown = () => (
    <FilterChoice label="State" name="state" value={paramOf("state", STATES)} options={STATES} count={() => 1200} />
  );
  const view = render(shown());
  fireEvent.click(view.getByText("up 1,200"));
  expect(param("state")).toBe("up");
  view.rerender(shown());
  expect(view.getByText("up 1,200").getAttribute("aria-pressed")).toBe("true");
  fireEvent.click(view.getByText("up 1,200"));
  expect(param("state")).toBe("");
});

test("of many options one is selected", () => {
  const view = render(<FilterSelect label="Pool" name="pool" value="" options={["a", "b"]} all="All pools" />);
  fireEvent.change(view.getByLabelText("Pool"), { target: { value: "b" } });
  expect(param("pool")).toBe("b");
});
