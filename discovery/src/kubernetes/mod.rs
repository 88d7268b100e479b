//! `kubernetes_sd_configs`: targets from the objects of a Kubernetes API server.
//!
//! `objects` the kinds of objects, trimmed · `meta` names of labels · `pod`, `service`, … an object to a target group, pure · `pod_labels`
//! those of pods, shared · `role`
//! which objects a role needs · `watched` the watches of one configuration · `kubelet` objects that Prometheus-Operator would write,
//! made up, and `selector` whether a configuration asks for them · `discoverer` one configuration: objects in, target groups out ·
//! `annotations` jobs for pods and services that ask for it by annotations · `without_targets` what gives no target, and why ·
//! `why_gone` why a target is gone.

pub(crate) mod annotations;
pub(crate) mod discoverer;
mod endpoints;
mod endpointslice;
#[cfg(test)]
mod fake;
mod ingress;
mod kubelet;
mod meta;
mod node;
mod objects;
mod pod;
pub(crate) mod pod_labels;
mod role;
mod selector;
mod service;
mod watched;
mod why_gone;
pub(crate) mod without_targets;
