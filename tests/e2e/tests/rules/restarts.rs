//! Weft restarts while alerts are in each of their states.

use std::time::{Duration, Instant};

use kit::{Alertmanager, Http, eventually, free_port};

use crate::world::{Seen, Target, alerting, eventually_named, held, in_state, metric, program, sends_to, start};

/// An Alertmanager takes an alert as firing for four delays, in which a restart is over; and alerts are restored whatever is left
/// of `for`.
const FLAGS: [&str; 2] = ["--rules.alert.resend-delay=15s", "--rules.alert.for-grace-period=0s"];
/// Some slots of a group of 200 ms.
const OUTAGE: Duration = Duration::from_secs(1);
/// A restart does not take longer than this.
const AWAY_MAX_MS: i64 = 40_000;
const RULES: &str = "\
    {alert: Pending, expr: 'bad == 1', for: 1h}, \
    {alert: Soon, expr: 'soon == 1', for: 3s}, \
    {alert: Firing, expr: 'bad == 1', for: 1s}, \
    {alert: Kept, expr: 'kept == 1', keep_firing_for: 1h}, \
    {alert: Resolved, expr: 'resolved == 1'}";

fn ms(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// All states at once; a restart by a signal; and what is left of them.
fn survives(signal: &str) {
    let Some(program) = program() else { return };
    let alertmanager: Alertmanager = start(&program, free_port());
    let target = Target::start("bad{i=\"1\"} 1\nkept{i=\"1\"} 1\nresolved{i=\"1\"} 1\n");
    let weft = target.weft(&alerting(RULES), &sends_to(&[&alertmanager.address]), &FLAGS);
    let first = eventually_named("three fire", &["Firing", "Kept", "Resolved"], || held(&alertmanager));
    let later = "bad{i=\"1\"} 1\nkept{i=\"1\"} 0\nresolved{i=\"1\"} 0\n";
    target.set(later);
    eventually_named("one is resolved", &["Firing", "Kept"], || held(&alertmanager));
    eventually("one is kept", || {
        let alerts = weft.http.api("alerts")?;
        let mut alerts = alerts["alerts"].as_array().unwrap().iter();
        let is_kept =
            alerts.any(|alert| alert["labels"]["alertname"] == "Kept" && alert["keepFiringSince"].is_string());
        if is_kept { Ok(()) } else { Err("not yet".to_owned()) }
    });
    target.set(&format!("{later}soon{{i=\"1\"}} 1\n"));
    let pending = eventually_named("two are pending", &["Pending", "Soon"], || in_state(&weft.http, "pending"));
    let firing = in_state(&weft.http, "firing").unwrap();
    let weft = weft.restart(signal, &FLAGS);
    // The time since when an alert fires is that of before; that of a pending one is later, by as long as weft was away.
    let since = |seen: &Seen, name: &str| seen.iter().find(|(of, _, _)| of == name).map(|(_, _, since)| ms(since));
    eventually("alerts are restored", || {
        let (pending_now, firing_now) = (in_state(&weft.http, "pending")?, in_state(&weft.http, "firing")?);
        // Whole seconds are stored.
        let is_same =
            since(&firing_now, "Firing").is_some_and(|ms| ms == since(&firing, "Firing").unwrap() / 1000 * 1000);
        let moved = since(&pending_now, "Pending").zip(since(&pending, "Pending")).map(|(now, before)| now - before);
        let is_restored = is_same && moved.is_some_and(|moved| (-1_000..AWAY_MAX_MS).contains(&moved));
        if is_restored { Ok(()) } else { Err(format!("{pending_now:?} {firing_now:?}, before {pending:?} {firing:?}")) }
    });
    // The one that was kept is known no more: nothing tells that it fired only because it was kept.
    eventually_named("two fire", &["Firing", "Kept", "Soon"], || held(&alertmanager));
    let after = held(&alertmanager).unwrap();
    assert_eq!(after[..2], first[..2], "an Alertmanager takes those for the same that it had");
    assert_eq!(metric(&weft.http, "prometheus_notifications_dropped_total"), 0.0);
}

#[test]
fn alerts_survive_a_graceful_restart() {
    survives("TERM");
}

#[test]
fn alerts_survive_a_kill() {
    survives("KILL");
}

/// What was stored before the outage tolerance does not count: alerts begin anew.
#[test]
fn a_long_outage_is_not_tolerated() {
    let target = Target::start("bad{i=\"1\"} 1\n");
    let flags = [&FLAGS[..], &["--rules.alert.for-outage-tolerance=1ms"]].concat();
    let weft = target.weft(&alerting(RULES), "", &flags);
    let before = eventually_named("it fires", &["Firing"], || in_state(&weft.http, "firing"));
    let weft = weft.restart("KILL", &flags);
    let after = eventually_named("it fires again", &["Firing"], || in_state(&weft.http, "firing"));
    assert!(after[0].2 > before[0].2, "{before:?} {after:?}");
}

/// Less than the grace period is left of `for`: it fires when that is over, and no sooner.
#[test]
fn a_grace_period_is_waited_for() {
    let target = Target::start("soon{i=\"1\"} 1\n");
    let flags = ["--rules.alert.for-grace-period=1m"];
    let rules = alerting("{alert: Long, expr: 'soon == 1', for: 1m}");
    let weft = target.weft(&rules, "", &flags);
    let before = eventually_named("it is pending", &["Long"], || in_state(&weft.http, "pending"));
    eventually("its state is stored", || match weft.http.query("ALERTS_FOR_STATE") {
        Ok(found) if found[0].is_object() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let weft = weft.restart("KILL", &flags);
    let after = eventually("it is restored", || {
        match metric(&weft.http, "prometheus_rule_group_last_restore_duration_seconds") {
            0.0 => Err("not yet".to_owned()),
            _ => in_state(&weft.http, "pending"),
        }
    });
    assert!(after[0].2 > before[0].2, "{before:?} {after:?}");
}

/// Evaluations of recording rules that a restart has missed are made up: there is a sample of every slot.
#[test]
fn no_evaluation_of_a_recording_rule_is_missing() {
    let target = Target::start("bad{i=\"1\"} 1\n");
    let rules =
        "groups: [{name: g, interval: 200ms, rules: [{record: n, expr: count(bad)}, {record: twice, expr: n + n}]}]";
    let weft = target.weft(rules, "", &FLAGS);
    let times = |http: &Http, metric: &str, count: usize| -> Result<Vec<i64>, String> {
        let data = http.api(&format!("query?query={metric}%5B5m%5D"))?;
        let values = data["result"][0]["values"].as_array().ok_or("no samples")?;
        let times = values.iter().map(|value| (value[0].as_f64().unwrap() * 1000.0).round() as i64);
        let times: Vec<i64> = times.collect();
        if times.len() >= count { Ok(times) } else { Err(format!("{times:?}")) }
    };
    let before = eventually("some are recorded", || times(&weft.http, "twice", 3));
    // It is away for some slots, however fast it starts.
    let weft = weft.restart_after("KILL", &FLAGS, || {
        let begun = Instant::now();
        eventually("slots are over", || if begun.elapsed() > OUTAGE { Ok(()) } else { Err("not yet".to_owned()) });
    });
    let made_up = eventually("some were made up", || {
        let count = metric(&weft.http, "weft_rule_group_backfilled_iterations_total");
        if count > 0.0 { Ok(count as usize) } else { Err("none".to_owned()) }
    });
    for metric in ["n", "twice"] {
        eventually("none is missing", || {
            let after = times(&weft.http, metric, before.len() + made_up + 2)?;
            let gaps: Vec<i64> = after.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap != 200).collect();
            if gaps.is_empty() { Ok(()) } else { Err(format!("{metric}: {gaps:?}")) }
        });
    }
}
