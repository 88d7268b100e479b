//! The operator and the objects of a fake API server: what becomes of each object, and what runs.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod access;
mod assets;
mod events;
mod invalid;
mod jobs;
mod prometheus;
mod rules;
mod selection;
mod world;
