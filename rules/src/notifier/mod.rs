//! Sends alerts to Alertmanagers.
