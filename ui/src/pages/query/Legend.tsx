/** The lines of a graph with their values. A click shows one alone, with Ctrl it hides or shows one more; the field filters. */

import { useMemo } from "preact/hooks";

import { DataTable, type Column } from "../../components/DataTable";
import { SeriesName } from "../../components/LabelSet";
import { formatShort } from "../../lib/numbers";
import type { GraphData, Line } from "./graphData";

/** Which lines are drawn: those whose text has the filter, without those hidden by hand. */
export interface Selection {
  filter: string;
  hidden: ReadonlySet<number>;
}

export const ALL: Selection = { filter: "", hidden: new Set() };

export function isShown({ filter, hidden }: Selection, lines: readonly Line[], index: number): boolean {
  return !hidden.has(index) && (lines[index]?.text.toLowerCase().includes(filter.toLowerCase()) ?? false);
}

/** The selection after a click on a line. */
export function clicked(selection: Selection, lines: readonly Line[], index: number, isOneMore: boolean): Selection {
  const hidden = new Set(selection.hidden);
  if (isOneMore) {
    if (!hidden.delete(index)) hidden.add(index);
    return { ...selection, hidden };
  }
  const isAlone = lines.every((_, i) => i === index || !isShown(selection, lines, i));
  if (isAlone) return { ...selection, hidden: new Set() };
  return { ...selection, hidden: new Set(lines.map((_, i) => i).filter((i) => i !== index)) };
}

interface Row {
  line: Line;
  index: number;
}

interface Props {
  data: GraphData;
  selection: Selection;
  onSelect: (selection: Selection) => void;
}

export function Legend({ data, selection, onSelect }: Props) {
  const { lines } = data;
  const rows = useMemo(() => {
    const filter = selection.filter.toLowerCase();
    return lines.map((line, index) => ({ line, index })).filter(({ line }) => line.text.toLowerCase().includes(filter));
  }, [lines, selection.filter]);
  const number = (key: "min" | "max" | "last", title: string): Column<Row> => ({
    key,
    title,
    width: "6rem",
    align: "right",
    isExtra: key !== "last",
    cell: ({ line }) => <span class="number">{Number.isFinite(line[key]) ? formatShort(line[key]) : "–"}</span>,
    sort: ({ line }) => line[key],
  });
  const columns: readonly Column<Row>[] = [
    {
      key: "series",
      title: `Series (${rows.length})`,
      width: "minmax(9rem, 1fr)",
      cell: ({ line, index }) => (
        <button
          type="button"
          class="legend-line"
          aria-pressed={isShown(selection, lines, index)}
          title="Click: this one alone. Ctrl + click: hide or show."
          onClick={(event) => onSelect(clicked(selection, lines, index, event.ctrlKey || event.metaKey || event.shiftKey))}
        >
          <span class="swatch" style={{ background: line.color }} aria-hidden="true" />
          <SeriesName labels={line.labels} />
        </button>
      ),
      sort: ({ line }) => line.text,
    },
    number("min", "Min"),
    number("max", "Max"),
    number("last", "Last"),
  ];
  return (
    <>
      {lines.length > 1 && (
        <div class="legend-filter">
          <input
            type="search"
            aria-label="Filter series"
            placeholder="Filter series"
            value={selection.filter}
            onInput={(event) => onSelect({ ...selection, filter: event.currentTarget.value })}
          />
          {(selection.hidden.size > 0 || selection.filter !== "") && (
            <button type="button" class="small" onClick={() => onSelect(ALL)}>
              Show all
            </button>
          )}
        </div>
      )}
      <DataTable label="Series of the graph" columns={columns} rows={rows} rowKey={({ index }) => index} class="legend" />
    </>
  );
}
