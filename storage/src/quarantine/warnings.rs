//! Quarantine records as warnings to a query that asks for what they affect.

use model::labels::METRIC_NAME;
use model::{MatchOp, Selection, Timestamp};

use super::record::QuarantineRecord;
use crate::limits;

impl QuarantineRecord {
    /// May what is lost belong to a selection?
    fn touches(&self, selection: &Selection<'_>) -> bool {
        if self.is_rebuilt() || self.from > selection.end || self.to < selection.start {
            return false;
        }
        // A list that is full may lack names.
        let knows_names = !self.metrics.is_empty() && self.metrics.len() < limits::RECORD_METRICS;
        let is_affected = |name: &str| !knows_names || self.metrics.iter().any(|affected| affected == name);
        selection
            .matchers
            .iter()
            .all(|matcher| matcher.name != METRIC_NAME || matcher.op != MatchOp::Equal || is_affected(&matcher.value))
    }

    fn warning(&self) -> String {
        let Self { place, family, what, .. } = self;
        let when = if self.from == Timestamp::MIN || self.to == Timestamp::MAX {
            "of unknown time".to_owned()
        } else {
            format!("from {} to {}", rfc3339(self.from), rfc3339(self.to))
        };
        format!("stored data {when} is damaged, results may lack samples ({family}, {place}: {what})")
    }
}

/// What a selection is warned of.
pub(crate) fn warnings(records: &[QuarantineRecord], selection: &Selection<'_>) -> Vec<String> {
    let touching: Vec<&QuarantineRecord> = records.iter().filter(|one| one.touches(selection)).collect();
    let mut warnings: Vec<String> = touching.iter().take(limits::RECORD_WARNINGS).map(|one| one.warning()).collect();
    if let Some(more) = touching.len().checked_sub(limits::RECORD_WARNINGS).filter(|more| *more > 0) {
        warnings.push(format!("stored data is damaged in {more} more places, see /api/v1/status/tsdb"));
    }
    warnings
}

/// A time in UTC, to the millisecond.
fn rfc3339(at: Timestamp) -> String {
    let (days, of_day) = (at.0.div_euclid(86_400_000), at.0.rem_euclid(86_400_000));
    let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    // Years begin in March here, so that the leap day is their last (Howard Hinnant's days_from_civil, the other way).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", of_day % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Matcher;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(rfc3339(Timestamp::EPOCH), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(951_782_400_000 + 3_723_004)), "2000-02-29T01:02:03.004Z");
        assert_eq!(rfc3339(Timestamp(1_795_823_999_999)), "2026-11-27T23:59:59.999Z");
        assert_eq!(rfc3339(Timestamp(-1)), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_selection_is_told_of_what_it_may_lack() {
        let lost = |from: i64, to: i64, metrics: &[&str], what: &str| QuarantineRecord {
            place: "000007.sst".to_owned(),
            family: "rows".to_owned(),
            from: Timestamp(from),
            to: Timestamp(to),
            metrics: metrics.iter().map(|name| (*name).to_owned()).collect(),
            what: what.to_owned(),
        };
        let warned = |damage: QuarantineRecord, range: (i64, i64), name: &str| {
            let matchers = [Matcher::equal(METRIC_NAME, name)];
            let selection = Selection { start: Timestamp(range.0), end: Timestamp(range.1), matchers: &matchers };
            warnings(&[damage], &selection)
        };
        let named = lost(1000, 1999, &["up"], "a flipped bit");
        assert_eq!(
            warned(named.clone(), (0, 1000), "up"),
            [
                "stored data from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:01.999Z is damaged, results may lack samples \
              (rows, 000007.sst: a flipped bit)"
            ]
        );
        assert_eq!(warned(named.clone(), (0, 999), "up").len(), 0);
        assert_eq!(warned(named, (0, 1000), "down").len(), 0);
        assert_eq!(warned(lost(1000, 1999, &[], "x"), (0, 1000), "down").len(), 1);
        assert_eq!(warned(lost(i64::MIN, i64::MAX, &[], "rebuilt: x"), (0, 1000), "up").len(), 0);
        let many: Vec<QuarantineRecord> = (0..limits::RECORD_WARNINGS + 3).map(|_| lost(0, 9, &[], "x")).collect();
        let all = warnings(&many, &Selection { start: Timestamp(0), end: Timestamp(9), matchers: &[] });
        assert!(
            all.len() == limits::RECORD_WARNINGS + 1 && all.last().unwrap().contains("in 3 more places"),
            "{all:?}"
        );
    }
}
