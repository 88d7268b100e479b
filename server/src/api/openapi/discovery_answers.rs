//! The forms of answers about discovery: how its sources fare, and which targets are gone.

use super::shape::Shape::{List, Object, Text, Truth, Whole, Word};
use super::shape::{Schema, Shape, has, may_have};

static SOURCE_USER: Schema =
    Schema { name: "DiscoverySourceUser", fields: &[has("consumer", Text), has("config", Text)] };
static REFUSED: Schema =
    Schema { name: "RefusedRight", fields: &[has("group", Text), has("resource", Text), may_have("namespace", Text)] };
static SOURCE: Schema = Schema {
    name: "DiscoverySource",
    fields: &[
        has("field", Text),
        has("kind", Text),
        has("usedBy", List(&Object(&SOURCE_USER))),
        has("place", Text),
        may_have("namespace", Text),
        may_have("labelSelector", Text),
        may_have("fieldSelector", Text),
        has("up", Truth),
        may_have("lastAttempt", Text),
        may_have("lastSuccess", Text),
        has("consecutiveFailures", Whole),
        has("objects", Whole),
        may_have("error", Text),
        may_have("staleSince", Text),
        has("refused", List(&Object(&REFUSED))),
        may_have("role", Text),
    ],
};
static SOURCES: Schema = Schema { name: "DiscoverySources", fields: &[has("sources", List(&Object(&SOURCE)))] };
pub(super) const DISCOVERY: Shape = Object(&SOURCES);

static LOST_TARGET: Schema = Schema {
    name: "LostTarget",
    fields: &[
        has("time", Text),
        has("job", Text),
        has("url", Text),
        has("reason", Word(&["not_found", "dropped", "invalid", "job_removed"])),
        has("sentence", Text),
        has("isBack", Truth),
    ],
};
pub(super) const LOST_TARGETS: Shape = List(&Object(&LOST_TARGET));
