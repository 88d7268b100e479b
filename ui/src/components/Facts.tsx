/** Names and values, one a line: what a thing is. */

import type { ComponentChildren } from "preact";

export function Facts({
  label,
  facts,
}: {
  label: string;
  facts: readonly (readonly [name: string, value: ComponentChildren])[];
}) {
  return (
    <dl class="facts" aria-label={label}>
      {facts.map(([name, value]) => (
        <div key={name} class="fact">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
