/** The server's types under short names. They are generated: see `npm run types`. */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type ActiveQuery = Schemas["ActiveQuery"];
export type ActiveTarget = Schemas["ActiveTarget"];
export type Alert = Schemas["Alert"];
export type AlertingRule = Schemas["AlertingRule"];
export type Cardinality = Schemas["Cardinality"];
export type DiscoverySource = Schemas["DiscoverySource"];
export type DroppedTarget = Schemas["DroppedTarget"];
export type ExplainedJob = Schemas["ExplainedJob"];
export type ExplainedRule = Schemas["ExplainedRule"];
export type Exemplar = Schemas["Exemplar"];
export type Explanation = Schemas["Explanation"];
export type ExemplarsOfSeries = Schemas["ExemplarsOfSeries"];
export type Forecast = Schemas["Forecast"];
export type Histogram = Schemas["Histogram"];
export type MatrixResult = Schemas["MatrixResult"];
export type Monitor = Schemas["Monitor"];
export type NamedCount = Schemas["NamedCount"];
export type Plan = Schemas["Plan"];
export type PlanNode = Schemas["PlanNode"];
export type RangeSeries = Schemas["RangeSeries"];
export type RelabelStep = Schemas["RelabelStep"];
export type Rule = Schemas["AlertingRule"] | Schemas["RecordingRule"];
export type RuleGroup = Schemas["RuleGroup"];
export type Sample = Schemas["Sample"];
export type ScalarOrStringResult = Schemas["ScalarOrStringResult"];
export type ScrapedPage = Schemas["ScrapedPage"];
export type ScrapedSample = Schemas["ScrapedSample"];
export type TopQuery = Schemas["TopQuery"];
export type TrialScrape = Schemas["TrialScrape"];
export type VectorResult = Schemas["VectorResult"];
