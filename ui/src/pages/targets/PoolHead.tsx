/** A pool above its targets: how many of them are well. */

import type { ActiveTarget } from "../../api/types";

export function PoolHead({ name, targets }: { name: string; targets: readonly ActiveTarget[] }) {
  const nUp = targets.filter(({ health }) => health === "up").length;
  const nDown = targets.filter(({ health }) => health === "down").length;
  return (
    <div class="pool">
      <h2>
        <bdi>{name}</bdi>
      </h2>
      <span class="quiet">
        {nUp} of {targets.length} up
      </span>
      <meter
        class={nDown > 0 ? "pool-meter bad" : "pool-meter"}
        min={0}
        max={targets.length}
        value={nUp}
        aria-label={`Share of ${name} that is up`}
      />
    </div>
  );
}
