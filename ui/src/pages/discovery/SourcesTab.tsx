/** How the sources of targets fare, those that do not answer first. */

import { get } from "../../api/client";
import { useApi } from "../../api/useApi";
import { Failure } from "../../components/Failure";
import { VirtualList } from "../../components/VirtualList";
import { SourceCard } from "./SourceCard";
import { filteredSources, whereOf } from "./sources";

export function SourcesTab({ pool, text }: { pool: string; text: string }) {
  const known = useApi("sources", (signal) => get("/status/discovery", {}, { signal }), { everyMs: 15_000 });
  const sources = known.answer?.data.sources;
  const shown = filteredSources(sources ?? [], pool, text);
  return (
    <>
      <Failure error={known.error} hasData={sources !== undefined} />
      {sources && shown.length === 0 && (
        <p class="quiet">
          {sources.length === 0
            ? "Nobody is asked for targets: all are listed in the configuration."
            : "No source fits these filters."}
        </p>
      )}
      {shown.length > 0 && (
        <VirtualList
          items={shown}
          estimate={80}
          label="Sources"
          class="fill"
          itemKey={(source) => `${source.field} ${source.kind} ${whereOf(source)} ${source.usedBy[0]?.config ?? ""}`}
          row={(source) => <SourceCard source={source} />}
        />
      )}
    </>
  );
}
