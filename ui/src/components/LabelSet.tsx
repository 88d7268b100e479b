/** Labels, each as `name="value"`. Long ones are cut by the style sheet, not here: they can be selected whole. */

import { labelName, pairs, quoted, type Labels } from "../lib/labels";

export function LabelSet({ labels }: { labels: Labels }) {
  return (
    <span class="labels">
      {pairs(labels).map(([name, value]) => (
        <span key={name} class="label">
          <span class="label-name">{labelName(name)}</span>=<bdi class="label-value">{quoted(value)}</bdi>
        </span>
      ))}
    </span>
  );
}

/** The same behind the name of the metric, as a selector. */
export function SeriesName({ labels }: { labels: Labels }) {
  const name = labels["__name__"];
  return (
    <span class="series-name">
      {name !== undefined && <bdi class="metric-name">{name}</bdi>}
      <LabelSet labels={labels} />
    </span>
  );
}
