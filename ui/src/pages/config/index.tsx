/** The configuration in force, with its defaults; secrets are not in it. A line can be linked to: `/config?line=12`. */

import { useMemo } from "preact/hooks";

import { get } from "../../api/client";
import { useApi } from "../../api/useApi";
import { CopyButton } from "../../components/CopyButton";
import { Failure } from "../../components/Failure";
import { NumberedLine } from "../../components/NumberedLine";
import { Page } from "../../components/Page";
import { SearchInput } from "../../components/SearchInput";
import { formatCount } from "../../lib/numbers";
import { href, param, setParam } from "../../lib/router";
import { parts, shownLines, type Line } from "./lines";

export default function ConfigPage() {
  const config = useApi("config", (signal) => get("/status/config", {}, { signal }));
  const yaml = config.answer?.data.yaml;
  const search = param("search");
  const marked = Number(param("line"));
  const lines = useMemo(() => (yaml ?? "").replace(/\n$/, "").split("\n"), [yaml]);
  const shown = useMemo(() => shownLines(lines, search), [lines, search]);
  const hits = search === "" ? 0 : shown.filter(({ isHit }) => isHit).length;
  return (
    <Page
      title="Configuration"
      beside={
        <div class="filters">
          <SearchInput label="Find in the configuration" value={search} onInput={(text) => setParam("search", text)} />
          {yaml !== undefined && <CopyButton text={yaml} />}
        </div>
      }
    >
      <Failure error={config.error} hasData={yaml !== undefined} />
      {search !== "" && (
        <p class="quiet count" role="status">
          {formatCount(hits)} lines have it; each is shown below the sections that it stands in.
        </p>
      )}
      {yaml !== undefined && (
        <pre class="numbered fill" tabIndex={0} aria-label="Configuration">
          {shown.map((line) => (
            <ConfigLine key={line.number} line={line} search={search} isMarked={line.number === marked} />
          ))}
        </pre>
      )}
    </Page>
  );
}

function ConfigLine({ line, search, isMarked }: { line: Line; search: string; isMarked: boolean }) {
  return (
    <NumberedLine number={line.number} isMarked={isMarked} link={href(`/config?line=${line.number}`)}>
      {parts(line.text, search).map(([text, isHit], i) => (isHit ? <mark key={i}>{text}</mark> : text))}
    </NumberedLine>
  );
}
