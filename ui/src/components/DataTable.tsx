/** A table of any length: columns that sort, rows that are drawn when in sight. */

import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";

import { isNarrow } from "../lib/media";
import { VirtualList } from "./VirtualList";

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ComponentChildren;
  /** A track of a CSS grid: `12rem`, `minmax(10rem, 2fr)`. */
  width: string;
  /** What rows are sorted by; a column without it does not sort. */
  sort?: (row: T) => string | number;
  align?: "right";
  /** Left out on a phone. */
  isExtra?: boolean;
}

interface Props<T> {
  /** What the table is, for those who do not see it. */
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T, index: number) => string | number;
  /** The column that it is sorted by at first; without it rows stay in their order. */
  sortedBy?: string;
  class?: string;
  /** Shown in place of rows where there are none. */
  empty?: ComponentChildren;
}

const ROW_PX = 30;

export function DataTable<T>({ label, columns: all, rows, rowKey, sortedBy, empty, ...rest }: Props<T>) {
  const columns = isNarrow.value ? all.filter((column) => !column.isExtra) : all;
  const [order, setOrder] = useState<{ key: string; isDown: boolean } | null>(
    sortedBy === undefined ? null : { key: sortedBy, isDown: false },
  );
  const sorted = useMemo(() => inOrder(rows, all, order), [rows, all, order]);
  const tracks = columns.map((column) => column.width).join(" ");
  const cellClass = (column: Column<T>) => `dt-cell${column.align === "right" ? " right" : ""}`;
  return (
    <div class={`dt ${rest.class ?? ""}`} role="table" aria-label={label} aria-rowcount={rows.length + 1}>
      <div role="rowgroup" class="dt-headgroup">
        <div role="row" class="dt-row dt-head" aria-rowindex={1} style={{ gridTemplateColumns: tracks }}>
          {columns.map((column) => {
            const isSorted = order?.key === column.key;
            const direction = isSorted ? (order.isDown ? "descending" : "ascending") : "none";
            const turn = () => setOrder({ key: column.key, isDown: isSorted && !order.isDown });
            return (
              <div key={column.key} role="columnheader" class={cellClass(column)} aria-sort={column.sort ? direction : undefined}>
                {column.sort ? (
                  <button type="button" class="dt-sort" onClick={turn}>
                    {column.title}
                    <span aria-hidden="true">{isSorted ? (order.isDown ? " ↓" : " ↑") : ""}</span>
                  </button>
                ) : (
                  column.title
                )}
              </div>
            );
          })}
        </div>
      </div>
      {sorted.length === 0 && <div class="dt-empty">{empty ?? "Nothing to show."}</div>}
      {sorted.length > 0 && (
        <VirtualList
          items={sorted}
          estimate={ROW_PX}
          itemKey={rowKey}
          role="rowgroup"
          class="dt-body"
          row={(row, index) => (
            <div role="row" class="dt-row" aria-rowindex={index + 2} style={{ gridTemplateColumns: tracks }}>
              {columns.map((column) => (
                <div key={column.key} role="cell" class={cellClass(column)}>
                  {column.cell(row)}
                </div>
              ))}
            </div>
          )}
        />
      )}
    </div>
  );
}

function inOrder<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  order: { key: string; isDown: boolean } | null,
): readonly T[] {
  const by = columns.find((column) => column.key === order?.key)?.sort;
  if (!order || !by) return rows;
  const sign = order.isDown ? -1 : 1;
  const keyed = rows.map((row) => [by(row), row] as const);
  keyed.sort(([a], [b]) => sign * (a < b ? -1 : a > b ? 1 : 0));
  return keyed.map(([, row]) => row);
}
