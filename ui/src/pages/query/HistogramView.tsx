/** A native histogram: its buckets as bars, its count and sum as text. */

import type { Histogram } from "../../api/types";
import { parseValue } from "../../lib/numbers";

/** How the ends of a bucket are written: `(` and `]` by which of them belong to it. */
const ENDS: readonly (readonly [string, string])[] = [
  ["(", "]"],
  ["[", ")"],
  ["(", ")"],
  ["[", "]"],
];

export function HistogramView({ histogram }: { histogram: Histogram }) {
  const buckets = histogram.buckets ?? [];
  const most = Math.max(...buckets.map(([, , , count]) => parseValue(count)), 0);
  return (
    <details class="histogram">
      <summary>
        count {histogram.count}, sum {histogram.sum}
      </summary>
      <table>
        <tbody>
          {buckets.map(([ends, low, high, count]) => {
            const [open, close] = ENDS[ends] ?? ["(", "]"];
            return (
              <tr key={`${low} ${high}`}>
                <th scope="row">
                  {open}
                  {low}, {high}
                  {close}
                </th>
                <td class="number">{count}</td>
                <td class="histogram-bars">
                  <meter min={0} max={most} value={parseValue(count)} aria-label={`Share of the largest bucket`} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </details>
  );
}
