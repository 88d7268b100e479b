//! Functions that change labels. The length of a new value is known, and its memory reserved, before it is allocated.

use model::labels::METRIC_NAME;
use model::regex::{CapturingRegex, RegexError, Room};
use model::{Labels, Matcher};

use super::evaluator::Evaluator;
use super::operands::Operands;
use crate::Error;
use crate::functions::label;
use crate::parse::Text;
use crate::plan::Call;
use crate::value::{LABEL_VALUE_MAX, SAMPLE_BYTES, Series, label_bytes, text_bytes};
use crate::window::Grid;

impl Evaluator<'_> {
    /// `label_replace`: series whose source label matches get the target label, expanded from a template.
    pub(super) fn label_replace(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut series = self.vector(call.args[0], grid)?;
        let target = self.label_name(call.args[1], label::no_target("label_replace"))?;
        let [replacement, source, pattern] = [2, 3, 4].map(|i| self.string_of(call.args[i]));
        let (replacement, source, pattern) = (replacement?, source?, pattern?);
        let regex = self.compiled(
            |room| CapturingRegex::new_within(pattern, room),
            |_| format!("invalid regular expression in label_replace(): {pattern}"),
        )?;
        for one in &mut series {
            // The label set is shared, not copied: it is read while the new one is written.
            let labels = one.labels.clone();
            self.account_work(1 + (labels.as_text().len() + replacement.len()) / SAMPLE_BYTES)?;
            // Series whose source label does not match are unchanged.
            if let Some(expansion) = regex.expansion(labels.value(source), replacement) {
                self.set_label(one, target, expansion.len(), |text| expansion.write(text))?;
            }
        }
        self.merged(series)
    }

    /// `label_join`: every series gets the target label, the joined values of the source labels.
    pub(super) fn label_join(&self, call: &Call, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut series = self.vector(call.args[0], grid)?;
        let no_source = |name: &Text| format!("invalid source label name in label_join(): {}", name.lossy());
        let sources =
            call.args[3..].iter().map(|arg| self.label_name(*arg, no_source)).collect::<Result<Vec<_>, _>>()?;
        let target = self.label_name(call.args[1], label::no_target("label_join"))?;
        let separator = self.string_of(call.args[2])?;
        let separators = separator.len().saturating_mul(sources.len().saturating_sub(1));
        for one in &mut series {
            self.account_work(1 + sources.len() + one.labels.as_text().len() / SAMPLE_BYTES)?;
            let labels = one.labels.clone();
            let values = || sources.iter().map(|name| labels.value(name));
            let len = values().map(str::len).fold(separators, usize::saturating_add);
            self.set_label(one, target, len, |text| {
                for (i, value) in values().enumerate() {
                    text.push_str(if i == 0 { "" } else { separator });
                    text.push_str(value);
                }
            })?;
        }
        self.merged(series)
    }

    /// `label_match` and `label_mismatch`: filters series by a matcher.
    pub(super) fn label_match(&self, call: &Call, op: model::MatchOp, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut series = self.vector(call.args[0], grid)?;
        let [label, pattern] = [self.string_of(call.args[1])?, self.string_of(call.args[2])?];
        let matcher = self.compiled(|room| Matcher::new_within(op, label, pattern, room), |error| error.to_string())?;
        // In two steps, since a closure of `retain` cannot return the error of a cancelled query.
        let mut keeps = Vec::with_capacity(series.len());
        for one in &series {
            self.account_work(1 + one.labels.as_text().len() / SAMPLE_BYTES)?;
            keeps.push(matcher.matches(one.labels.value(label)));
        }
        let mut keeps = keeps.into_iter();
        series.retain(|_| keeps.next().unwrap_or_default());
        Ok(series)
    }

    /// Compiles a regular expression within the memory limit.
    fn compiled<T>(
        &self,
        compile: impl FnOnce(&mut Room<'_>) -> Result<T, RegexError>,
        told: impl FnOnce(RegexError) -> String,
    ) -> Result<T, Error> {
        // The compiler reports that it was refused memory as an invalid expression: the actual error is kept here.
        let mut refused = None;
        let made = compile(&mut |bytes| match self.check().and_then(|()| self.hold(0, bytes)) {
            Ok(()) => true,
            Err(error) => {
                refused = Some(error);
                false
            }
        });
        made.map_err(|error| refused.unwrap_or_else(|| Error::Execution(told(error))))
    }

    /// Sets a label of a series; `write` produces the value, of `len` bytes, after memory was reserved.
    pub(super) fn set_label(
        &self,
        series: &mut Series,
        name: &str,
        len: usize,
        write: impl FnOnce(&mut String),
    ) -> Result<(), Error> {
        series.labels = self.with_label(&series.labels, name, len, write)?;
        // A new metric name is not removed by delayed name removal.
        if name == METRIC_NAME {
            series.drop_name = false;
        }
        Ok(())
    }

    /// The same for a label set; memory beyond that of the old one stays reserved.
    pub(super) fn with_label(
        &self,
        labels: &Labels,
        name: &str,
        len: usize,
        write: impl FnOnce(&mut String),
    ) -> Result<Labels, Error> {
        if len > LABEL_VALUE_MAX {
            return Err(Error::execution("String too long to encode as label."));
        }
        let text = labels.as_text().len() + name.len() + len;
        let more = text_bytes(text).saturating_sub(label_bytes(labels));
        self.query.take(&self.taken, more)?;
        // The text is built in a thread-local buffer and then copied.
        self.check_memory(text)?;
        self.account_work(text / SAMPLE_BYTES)?;
        Ok(labels.with_value(name, len, write))
    }
}
