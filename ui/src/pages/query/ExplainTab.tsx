/** The plan of a query as a tree, with what its parts cost: how the server goes about it, and where the time goes. */

import { useState } from "preact/hooks";

import { plan } from "../../api/queries";
import type { PlanNode } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Choice } from "../../components/Choice";
import { Duration } from "../../components/Duration";
import { formatBytes, formatCount } from "../../lib/numbers";
import { Outcome, type TabProps } from "./Outcome";

type Mode = "plan" | "measured";

export default function ExplainTab({ panel, asked, onFix }: TabProps) {
  const [mode, setMode] = useState<Mode>("measured");
  const atMs = panel.endMs ?? asked.atMs;
  const isMeasured = mode === "measured";
  const fetched = useApi(
    `${asked.expr}\n${atMs}\n${asked.round}\n${mode}`,
    (signal) => plan(asked.expr, atMs, isMeasured, { signal }),
    {
      about: asked.expr,
    },
  );
  const nodes = fetched.answer?.data.nodes ?? [];
  return (
    <>
      <div class="tab-controls">
        <Choice<Mode>
          label="What is shown"
          value={mode}
          options={[
            ["measured", "Run and measure"],
            ["plan", "Plan alone"],
          ]}
          onChange={setMode}
        />
        <span class="quiet">Times of parts include their operands.</span>
      </div>
      <Outcome fetched={fetched} expr={asked.expr} isEmpty={false} onFix={onFix}>
        <PlanTree nodes={nodes} isMeasured={nodes.some((node) => node.measured)} />
      </Outcome>
    </>
  );
}

function PlanTree({ nodes, isMeasured }: { nodes: readonly PlanNode[]; isMeasured: boolean }) {
  const longest = Math.max(...nodes.map((node) => node.measured?.seconds ?? 0), 1e-9);
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Plan">
      <table class="plan">
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col" class="right">
              Series
            </th>
            <th scope="col" class="right">
              Samples read
            </th>
            {isMeasured && (
              <>
                <th scope="col" class="right">
                  Memory
                </th>
                <th scope="col" class="right">
                  Time
                </th>
                <th scope="col">
                  <span class="visually-hidden">Share of the time</span>
                </th>
              </>
            )}
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <PlanRow key={node.id} node={node} longest={longest} isMeasured={isMeasured} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function PlanRow({ node, longest, isMeasured }: { node: PlanNode; longest: number; isMeasured: boolean }) {
  const { measured, estimated } = node;
  const series = measured?.series ?? estimated?.series;
  const read = measured ? measured.samplesRead : estimated?.samplesRead;
  const seconds = measured?.seconds ?? 0;
  return (
    <tr>
      <th scope="row">
        <div class="plan-part" style={{ paddingLeft: `${node.depth * 1.4}rem` }}>
          <span class="plan-operation">{node.operation}</span>
          <code class="plan-expression">{node.expression}</code>
          {node.decisions.map(({ pass, detail }) => (
            <span key={pass + detail} class="plan-decision">
              {pass}: {detail}
            </span>
          ))}
          {(measured?.reused ?? 0) > 0 && <span class="plan-decision">result reused {measured?.reused} times</span>}
        </div>
      </th>
      <td class="number right">{series === undefined ? "" : formatCount(series)}</td>
      <td class="number right">{read ? formatCount(read) : ""}</td>
      {isMeasured && (
        <>
          <td class="number right">{measured?.peakBytes ? formatBytes(measured.peakBytes) : ""}</td>
          <td class="number right">{measured && <Duration ms={seconds * 1000} />}</td>
          <td>
            <meter class="plan-share" min={0} max={longest} value={seconds} aria-label="Share of the time" />
          </td>
        </>
      )}
    </tr>
  );
}
