//! `kubernetes_sd_configs`: targets from the objects of a Kubernetes API server.
//!
//! `objects` the kinds of objects, trimmed · `meta` names of labels · `pod`, `service`, … an object to a target group, pure · `role`
//! which objects a role needs · `discoverer` one configuration: objects in, target groups out.

pub(crate) mod discoverer;
mod endpoints;
mod endpointslice;
mod ingress;
mod meta;
mod node;
mod objects;
mod pod;
mod role;
mod service;
