//! Scores of names for a search, from 0 to 1; 1 is a name that begins with the term.

/// The fuzzy matching algorithm for names that do not contain the term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// All characters in their order, whatever stands between them.
    Subsequence,
    /// The text anywhere, or a few characters exchanged.
    JaroWinkler,
}

/// Characters of a name that are looked at: the work grows with their square.
const CHARS_MAX: usize = 1_024;

/// The search terms. A name is found when it matches one of them.
#[derive(Debug)]
pub(super) struct Terms {
    terms: Vec<String>,
    algorithm: Algorithm,
    /// The least score of a fuzzy match.
    threshold: f64,
    case_sensitive: bool,
}

impl Terms {
    /// `None` when there is nothing to search for.
    pub(super) fn new(searched: &[&str], algorithm: Algorithm, threshold: f64, case_sensitive: bool) -> Option<Self> {
        let cased = |term: &&str| if case_sensitive { (*term).to_owned() } else { term.to_lowercase() };
        let terms: Vec<String> = searched.iter().filter(|term| !term.is_empty()).map(cased).collect();
        (!terms.is_empty()).then_some(Self { terms, algorithm, threshold, case_sensitive })
    }

    /// The best score among the terms; `None` if none matches.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        // Cut before folding, so that the length of the work is bounded by the name as it is stored.
        let end = name.char_indices().nth(CHARS_MAX).map_or(name.len(), |(end, _)| end);
        let name = &name[..end];
        let lower;
        let name = if self.case_sensitive {
            name
        } else {
            lower = name.to_lowercase();
            &lower
        };
        self.terms.iter().filter_map(|term| self.score_of(term, name)).reduce(f64::max)
    }

    fn score_of(&self, term: &str, name: &str) -> Option<f64> {
        match self.algorithm {
            // The commonest hit while somebody types, and the cheapest test.
            _ if name.starts_with(term) => Some(1.0),
            Algorithm::Subsequence => subsequence(term, name).filter(|score| *score > 0.0 && *score >= self.threshold),
            Algorithm::JaroWinkler => substring(term, name).or_else(|| {
                Some(strsim::jaro_winkler(term, name)).filter(|score| self.threshold > 0.0 && *score >= self.threshold)
            }),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths of names")]
fn float(n: usize) -> f64 {
    n as f64
}

/// The later the text stands in the name, the less: down to a tenth at its end.
fn substring(term: &str, name: &str) -> Option<f64> {
    let before = name[..name.find(term)?].chars().count();
    // More than 0: a term as long as the name would have been its start.
    let last = name.chars().count() - term.chars().count();
    Some(1.0 - 0.9 * float(before) / float(last))
}

/// The characters of the term fall into runs in the name. Each counts the square of its length; what stands before, between
/// and (half) behind them is taken off by its share of the name. The best place to begin counts, by the score of one run.
fn subsequence(term: &str, name: &str) -> Option<f64> {
    let (term, name): (Vec<char>, Vec<char>) = (term.chars().collect(), name.chars().collect());
    // Behind these the rest of the name is shorter than the term.
    let starts = 0..(name.len() + 1).saturating_sub(term.len());
    let starts = starts.filter(|start| name[*start] == term[0]);
    // Where the term does not end from one start, it does from none behind it.
    let scores = starts.map_while(|start| subsequence_from(&term, &name, start));
    let best = scores.reduce(f64::max).filter(|best| *best >= 0.0)?;
    // Only what is the same is a full match.
    Some(best / float(term.len() * term.len()) * 0.999)
}

fn subsequence_from(term: &[char], name: &[char], start: usize) -> Option<f64> {
    let share = 1.0 / float(name.len());
    let (mut score, mut at, mut matched, mut behind) = (0.0, start, 0, 0);
    while matched < term.len() {
        at += name[at..].iter().position(|c| *c == term[matched])?;
        // The run is taken greedily; other ways to place the term are tried by other starts.
        let run = name[at..].iter().zip(&term[matched..]).take_while(|(a, b)| a == b).count();
        score -= float(at - behind) * share;
        score += float(run * run);
        (at, matched) = (at + run, matched + run);
        behind = at;
    }
    Some(score - float(name.len() - behind) * share * 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(term: &str, name: &str, algorithm: Algorithm, threshold: f64) -> Option<f64> {
        Terms::new(&[term], algorithm, threshold, true).unwrap().score(name)
    }

    #[track_caller]
    fn near(got: Option<f64>, expected: f64) {
        assert!(got.is_some_and(|got| (got - expected).abs() < 1e-12), "{got:?}, expected {expected}");
    }

    #[test]
    fn characters_in_their_order() {
        let of = |term, name| score(term, name, Algorithm::Subsequence, 0.0);
        assert_eq!((of("up", "up_total"), of("up", "pu"), of("up", "u")), (Some(1.0), None, None));
        // Runs of 1 and 1 with one character between, behind one of four: (1 + 1 - 1/4) / 4, one before.
        near(of("ac", "xabc"), (2.0 - 0.25 - 0.25) / 4.0 * 0.999);
        // The second start is better: a run of 2 behind three of six, one behind it.
        near(of("ab", "axxabx"), (4.0 - 3.0 / 6.0 - 0.5 / 6.0) / 4.0 * 0.999);
        near(of("é", "aéb"), (1.0 - 1.0 / 3.0 - 0.5 / 3.0) * 0.999);
        assert_eq!(score("ac", "xabc", Algorithm::Subsequence, 0.38), None);
    }

    #[test]
    fn the_very_text_or_characters_exchanged() {
        let of = |term, name, threshold| score(term, name, Algorithm::JaroWinkler, threshold);
        assert_eq!((of("up", "up_x", 0.0), of("martha", "marhta", 0.0)), (Some(1.0), None));
        near(of("b", "abc", 0.0), 1.0 - 0.9 / 2.0);
        near(of("c", "éüc", 0.0), 0.1);
        // The textbook's examples.
        near(of("martha", "marhta", 0.9), 0.961_111_111_111_111_1);
        near(of("dixon", "dicksonx", 0.8), 0.813_333_333_333_333_3);
        assert_eq!((of("dixon", "dicksonx", 0.82), of("abc", "xyz", 0.01)), (None, None));
    }

    #[test]
    fn the_best_term_counts_and_case_may_not() {
        let any =
            |terms: &[&str], name: &str| Terms::new(terms, Algorithm::Subsequence, 0.0, false).unwrap().score(name);
        assert_eq!((any(&["zz", "", "Go_"], "gO_threads"), any(&["zz"], "go")), (Some(1.0), None));
        assert!(Terms::new(&["", ""], Algorithm::Subsequence, 0.0, true).is_none());
    }
}
