/** What concerns every page: that the server is away, and what it tells whoever looks at it. */

import { get } from "../api/client";
import { connection, type Connection } from "../api/connection";
import { useApi } from "../api/useApi";
import { Notice } from "./Notice";

const EVERY_MS = 15_000;

const SAYS: Readonly<Record<Exclude<Connection, "ok">, string>> = {
  gone: "The server does not answer. What is shown stays; the page goes on by itself once it is back.",
  unauthorized: "The server wants to know who asks (401). Reload the page to log in; what is shown stays.",
  unavailable: "The server is starting, stopping, or has too much to do. It is asked again until it answers.",
  slow: "The server takes long to answer.",
};

export function Banners() {
  const told = useApi("notifications", (signal) => get("/notifications", {}, { signal }), { everyMs: EVERY_MS });
  const state = connection.value;
  const notifications = told.answer?.data.filter(({ active }) => active) ?? [];
  return (
    <div class="banners" role="region" aria-label="Notices">
      {state !== "ok" && <Notice kind={state === "slow" ? "info" : "warning"}>{SAYS[state]}</Notice>}
      {notifications.map(({ text }) => (
        <Notice key={text} kind="warning">
          {text}
        </Notice>
      ))}
    </div>
  );
}
