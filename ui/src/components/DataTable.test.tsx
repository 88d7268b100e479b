import { cleanup, fireEvent, render } from "@testing-library/preact";
import { afterEach, expect, it } from "vitest";

import { DataTable, type Column } from "./DataTable";

afterEach(cleanup);

const COLUMNS: readonly Column<number>[] = [
  { key: "n", title: "N", width: "1fr", cell: (n) => <span class="n">{n}</span>, sort: (n) => n },
  { key: "html", title: "Text", width: "1fr", cell: (n) => `<b>${n}</b>` },
];

const numbers = (container: Element) => [...container.querySelectorAll(".n")].map((element) => Number(element.textContent));

it("draws only what is in sight of a long table, and says how long it is", () => {
  const rows = Array.from({ length: 100_000 }, (_, i) => i);
  const { container } = render(<DataTable label="Numbers" columns={COLUMNS} rows={rows} rowKey={(n) => n} />);
  expect(numbers(container).length).toBeLessThan(100);
  expect(container.querySelector("[role=table]")?.getAttribute("aria-rowcount")).toBe("100001");
  expect(container.querySelector("b")).toBeNull();
});

it("sorts by a column, and the other way round", () => {
  const { container, getByText } = render(<DataTable label="Numbers" columns={COLUMNS} rows={[2, 3, 1]} rowKey={(n) => n} />);
  expect(numbers(container)).toEqual([2, 3, 1]);
  fireEvent.click(getByText("N"));
  expect(numbers(container)).toEqual([1, 2, 3]);
  fireEvent.click(getByText("N"));
  expect(numbers(container)).toEqual([3, 2, 1]);
  expect(container.querySelector("[role=columnheader]")?.getAttribute("aria-sort")).toBe("descending");
});
