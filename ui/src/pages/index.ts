/**
 * The table of pages. A page is a file here, or a folder with what it is made of, that exports a component as its default; the
 * server routes its path to this UI (`server/src/api/ui/pages.rs`). What is not in the table is not in the navigation.
 */

import type { ComponentType } from "preact";

import { lazy } from "../lib/lazy";

export interface PageEntry {
  path: string;
  title: string;
  /** Where the navigation has it: by itself, or below Status. */
  group: "main" | "monitoring" | "server";
  component: ComponentType;
}

export const PAGES: readonly PageEntry[] = [
  { path: "/query", title: "Query", group: "main", component: lazy(() => import("./query")) },
  { path: "/alerts", title: "Alerts", group: "main", component: lazy(() => import("./alerts")) },
  { path: "/targets", title: "Targets", group: "monitoring", component: lazy(() => import("./targets")) },
  { path: "/service-discovery", title: "Service discovery", group: "monitoring", component: lazy(() => import("./discovery")) },
  { path: "/monitors", title: "Monitors", group: "monitoring", component: lazy(() => import("./monitors")) },
  { path: "/rules", title: "Rules", group: "monitoring", component: lazy(() => import("./rules")) },
  {
    path: "/alertmanager-discovery",
    title: "Alertmanagers",
    group: "monitoring",
    component: lazy(() => import("./alertmanagers")),
  },
  { path: "/tsdb-status", title: "TSDB", group: "server", component: lazy(() => import("./tsdb")) },
  { path: "/queries", title: "Queries", group: "server", component: lazy(() => import("./queries")) },
  { path: "/config", title: "Configuration", group: "server", component: lazy(() => import("./config")) },
  { path: "/flags", title: "Flags", group: "server", component: lazy(() => import("./flags")) },
  { path: "/status", title: "Runtime & build", group: "server", component: lazy(() => import("./status")) },
];
