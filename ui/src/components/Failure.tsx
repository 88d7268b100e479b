/** Why data could not be had, in place of it or above older data. */

import type { ApiError } from "../api/client";
import { Notice } from "./Notice";

export function Failure({ error, hasData }: { error: ApiError | undefined; hasData: boolean }) {
  if (!error) return null;
  return (
    <Notice kind={hasData ? "warning" : "error"}>
      {error.message}
      {hasData && " What is shown is older."}
      {error.isPassing && " It is tried again."}
    </Notice>
  );
}
