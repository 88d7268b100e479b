/** A source of targets: whether it answers, since when it does not, and the Role that it lacks. */

import type { DiscoverySource } from "../../api/types";
import { Badge } from "../../components/Badge";
import { CopyButton } from "../../components/CopyButton";
import { Ago } from "../../components/Duration";
import { formatCount } from "../../lib/numbers";
import { usersOf, whereOf } from "./sources";

export function SourceCard({ source }: { source: DiscoverySource }) {
  const { up, kind, field, objects, consecutiveFailures, error, staleSince, role } = source;
  const what = field === "kubernetes_sd_configs" ? "objects" : "targets";
  return (
    <div class={`card ${up ? "good" : "bad"}`}>
      <div class="card-line">
        <Badge tone={up ? "good" : "bad"}>{up ? "up" : "down"}</Badge>
        <strong>
          <bdi>{kind}</bdi>
        </strong>
        <bdi class="mono wrap">{whereOf(source)}</bdi>
        <span class="card-facts">
          {formatCount(objects)} {what}, answered <Ago at={source.lastSuccess ?? ""} />, asked{" "}
          <Ago at={source.lastAttempt ?? ""} />
          {consecutiveFailures > 0 && `, ${formatCount(consecutiveFailures)} failures since`}
        </span>
      </div>
      {error !== undefined && (
        <p class="fault">
          <bdi>{error}</bdi>
        </p>
      )}
      {staleSince !== undefined && (
        <p>
          What was found before stays in force. It is not kept up to date since <Ago at={staleSince} />.
        </p>
      )}
      <p class="quiet">
        For <bdi>{usersOf(source)}</bdi>
      </p>
      {role !== undefined && (
        <details>
          <summary>The Role that is missing</summary>
          <CopyButton text={role} />
          <pre class="code-block" tabIndex={0}>
            {role}
          </pre>
        </details>
      )}
    </div>
  );
}
