/** The series of a day by the values of a label, and who brought those that the day before had not. */

import { useState } from "preact/hooks";

import { get } from "../../api/client";
import type { Cardinality } from "../../api/types";
import { useApi } from "../../api/useApi";
import { DataTable, type Column } from "../../components/DataTable";
import { Failure } from "../../components/Failure";
import { queryHref } from "../../components/QueryLink";
import { formatSeries } from "../../lib/labels";
import { formatCount } from "../../lib/numbers";
import { param, setParam } from "../../lib/router";

type Value = Cardinality["values"][number];

/** What people ask for most; any other label can be typed. */
const LABELS = ["__name__", "job", "namespace", "instance", "pod"];

export function CardinalityTab() {
  const label = param("label") || "__name__";
  const day = param("day");
  const sort = param("sort") === "new" ? "new" : "series";
  const found = useApi(`cardinality ${label} ${day} ${sort}`, (signal) =>
    get("/status/cardinality", { label, sort, limit: 1000, ...(day === "" ? {} : { day }) }, { signal }),
  );
  const data = found.answer?.data;
  return (
    <>
      <div class="filters">
        <LabelChoice key={label} label={label} />
        <input
          type="date"
          aria-label="Day, UTC"
          value={day || data?.day || ""}
          onChange={(event) => setParam("day", event.currentTarget.value)}
        />
        <button type="button" aria-pressed={sort === "new"} onClick={() => setParam("sort", sort === "new" ? "" : "new")}>
          new first
        </button>
      </div>
      <Failure error={found.error} hasData={data !== undefined} />
      {data && (
        <p class="quiet count" role="status">
          {formatCount(data.total.series)} series on {data.day}, {formatCount(data.total.newSeries)} of them new that day;{" "}
          {formatCount(data.valuesTotal)} values of {label}, {formatCount(data.without.series)} series without it.
        </p>
      )}
      {data && (
        <DataTable
          key={sort}
          label={`Series by ${label}`}
          columns={columns(label)}
          rows={data.values}
          rowKey={({ value }) => value}
          class="fill"
          empty="No series has this label on this day."
        />
      )}
    </>
  );
}

function LabelChoice({ label }: { label: string }) {
  const [text, setText] = useState(label);
  const submit = (event: Event) => {
    event.preventDefault();
    setParam("label", text === "__name__" ? "" : text);
  };
  return (
    <form onSubmit={submit}>
      <input
        type="text"
        list="labels"
        aria-label="Label"
        value={text}
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
        onChange={submit}
      />
      <datalist id="labels">
        {LABELS.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </form>
  );
}

function columns(label: string): readonly Column<Value>[] {
  const select = (value: string) => `count by (__name__) (${formatSeries({ [label]: value })})`;
  return [
    {
      key: "value",
      title: label === "__name__" ? "Metric" : label,
      width: "minmax(9rem, 3fr)",
      cell: ({ value }) => (
        <a data-page class="expression" href={queryHref(select(value))}>
          <bdi>{value}</bdi>
        </a>
      ),
      sort: ({ value }) => value,
    },
    {
      key: "series",
      title: "Series",
      width: "8rem",
      align: "right",
      cell: ({ series }) => formatCount(series),
      sort: ({ series }) => series,
    },
    {
      key: "new",
      title: "New that day",
      width: "8rem",
      align: "right",
      cell: ({ newSeries }) => formatCount(newSeries),
      sort: ({ newSeries }) => newSeries,
    },
  ];
}
