/** The disk and the memory that will be needed, if things go on as they are. */

import { get } from "../../api/client";
import type { Forecast as Needs } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Facts } from "../../components/Facts";
import { Failure } from "../../components/Failure";
import { Notice } from "../../components/Notice";
import { formatBytes, formatCount, formatShort } from "../../lib/numbers";
import { formatTime, zone } from "../../lib/time";

export function Forecast() {
  const forecast = useApi("forecast", (signal) => get("/status/forecast", {}, { signal }), { everyMs: 60_000 });
  const data = forecast.answer?.data;
  return (
    <section aria-label="Forecast">
      <Failure error={forecast.error} hasData={data !== undefined} />
      {data?.disk.fullAt != null && (
        <Notice kind="warning">
          The disk will be full on {formatTime(Date.parse(data.disk.fullAt), zone.value)}, before anything is old enough to be
          deleted ({data.disk.retention}). Set <code>--storage.tsdb.retention.size</code> below what the disk has.
        </Notice>
      )}
      {data && (
        <Facts
          label="Forecast"
          facts={[
            ["Disk forecast", disk(data.disk)],
            ["Memory", memory(data.memory)],
          ]}
        />
      )}
    </section>
  );
}

function disk({ usedBytes, freeBytes, bytesPerDay, expectedBytes, retention }: Needs["disk"]): string {
  const now = `${formatBytes(usedBytes)} now${freeBytes === null ? "" : `, ${formatBytes(freeBytes)} free`}`;
  if (bytesPerDay === null) return `${now}; too young to tell what a day adds`;
  const end = expectedBytes === null ? "without end" : `${formatBytes(expectedBytes)} once ${retention} are full`;
  return `${now}; ${formatBytes(bytesPerDay)} a day; ${end}`;
}

function memory({ residentBytes, limitBytes, series, seriesMax }: Needs["memory"]): string {
  if (residentBytes === null) return "not known";
  const now = `${formatBytes(residentBytes)}${limitBytes === null ? "" : ` of ${formatBytes(limitBytes)}`}`;
  const room = seriesMax === null || seriesMax <= series ? "" : `; about ${formatShort(seriesMax)} would fit`;
  return `${now} for ${formatCount(series)} series${room}`;
}
