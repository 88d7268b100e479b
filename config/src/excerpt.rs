//! The line of a file at which a fault is, without what may be secret: messages reach logs and the API.

/// Longer lines are cut.
const CHARS_MAX: usize = 160;

/// Parts of the names of fields whose values may be secret.
const SECRET_WORDS: [&str; 13] = [
    "secret",
    "password",
    "pass",
    "pwd",
    "pw",
    "token",
    "credential",
    "key",
    "auth",
    "header",
    "webhook",
    "private",
    "bearer",
];

/// Sections of credentials, and the fields in them that are none.
const CREDENTIALS: [&str; 3] = ["authorization", "basic_auth", "oauth2"];
const NOT_SECRET: [&str; 6] = ["username", "type", "client_id", "scopes", "grant_type", "tls_config"];

/// What stands in the place of a secret.
const HIDDEN: &str = "<hidden>";

/// Line number `line` of these, as it may be shown for a fault of the field at this path; an empty path is a syntax error.
pub(crate) fn excerpt(lines: &[&str], line: usize, field: &str) -> Option<String> {
    let text = lines.get(line.checked_sub(1)?)?.trim_end();
    let is_inside = if field.is_empty() { is_inside_secret(lines, line - 1) } else { is_secret_path(field) };
    let shown = masked(text);
    // Nothing in the line itself names the secret that it may be a part of.
    if text.is_empty() || (is_inside && shown == text) {
        return None;
    }
    let mut chars = shown.chars();
    let cut: String = chars.by_ref().take(CHARS_MAX).collect();
    Some(if chars.next().is_some() { format!("{cut}…") } else { cut })
}

/// May the value of a field of this name be secret? Also if the name is misspelt: better too much than too little.
fn sounds_secret(name: &str) -> bool {
    let name = name.trim_matches(['"', '\'']).to_ascii_lowercase();
    if is_path(&name) {
        return false;
    }
    let is_like = |part: &str, word: &str| match word.len() {
        0..=4 => part == word,
        5 => strsim::osa_distance(part, word) <= 1,
        _ => strsim::osa_distance(part, word) <= 2,
    };
    SECRET_WORDS.iter().any(|word| name.contains(word) || name.split(['_', '-']).any(|part| is_like(part, word)))
}

/// The path of a file that holds a secret is none itself.
fn is_path(name: &str) -> bool {
    name.ends_with("_file") || name.ends_with("_files")
}

/// Is a part of the path `remote_write[0].headers.X` secret?
fn is_secret_path(field: &str) -> bool {
    let mut is_credential = false;
    for part in field.split('.') {
        let name = part.split('[').next().unwrap_or_default();
        if CREDENTIALS.contains(&name) {
            is_credential = true;
        } else if sounds_secret(name) || (is_credential && !NOT_SECRET.contains(&name) && !is_path(name)) {
            return true;
        }
    }
    false
}

/// May the line be one of several of a secret? By the keys of the lines above that are indented less, and by the line before.
fn is_inside_secret(lines: &[&str], at: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut least = lines.get(at).map_or(0, |line| indent(line));
    let above = lines.get(..at).unwrap_or_default().iter().rev().filter(|line| !line.trim().is_empty());
    for (i, line) in above.enumerate() {
        if i > 0 && indent(line) >= least {
            continue;
        }
        least = least.min(indent(line));
        if keys(line).any(|(name, _)| !CREDENTIALS.contains(&name) && sounds_secret(name)) {
            return true;
        }
        if least == 0 && i > 0 {
            break;
        }
    }
    false
}

/// The line without the values of fields that may be secret, and without the passwords of URLs.
fn masked(line: &str) -> String {
    // To the end of the line: where a value ends cannot be told without its quotes, which may be what is wrong.
    let secret = keys(line).find(|(name, after)| {
        let value = line.get(*after..).unwrap_or_default().trim();
        let is_section = value.is_empty() || (CREDENTIALS.contains(name) && value.starts_with(['{', '[']));
        !is_section && sounds_secret(name)
    });
    let line = match secret {
        Some((_, after)) => format!("{} {HIDDEN}", line.get(..after).unwrap_or_default()),
        None => line.to_owned(),
    };
    without_passwords(&line)
}

/// The names before the colons of a line, and where each colon ends.
fn keys(line: &str) -> impl Iterator<Item = (&str, usize)> {
    let ends = line.match_indices(':').map(|(at, _)| at);
    ends.filter(|at| line.get(at + 1..).is_none_or(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))).map(|at| {
        let before = line.get(..at).unwrap_or_default();
        let start = before.rfind([' ', '\t', '{', '[', ',']).map_or(0, |space| space + 1);
        (before.get(start..).unwrap_or_default().trim_matches(['"', '\'']), at + 1)
    })
}

/// `http://user:password@host` without the password, wherever it stands.
fn without_passwords(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        // Not at a slash: a password may have one where it should be escaped.
        let end = after.find([' ', '\t', '"', '\'', '}', ']']).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let name = user.split(':').next().unwrap_or_default();
                out.push_str(&format!("{name}:{HIDDEN}@{host}"));
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, line: usize, field: &str, expected: Option<&str>) {
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(excerpt(&lines, line, field).as_deref(), expected, "{text}");
    }

    #[test]
    fn lines_are_shown_without_secrets() {
        check("a:\n  scrape_intervall: 5s  \r", 2, "a.scrape_intervall", Some("  scrape_intervall: 5s"));
        check("  pasword: hunter2", 1, "scrape_configs[0].basic_auth.pasword", Some("  pasword: <hidden>"));
        check(
            "basic_auth: {usernam: u, password: 'hunter2'}",
            1,
            "basic_auth.usernam",
            Some("basic_auth: {usernam: u, password: <hidden>"),
        );
        check(
            "- {job_nam: a, bearer_tokn: hunter2}",
            1,
            "scrape_configs[0].job_nam",
            Some("- {job_nam: a, bearer_tokn: <hidden>"),
        );
        check("  proxy_url: 'http://u:hunter2@p:1/x'", 1, "proxy_url", Some("  proxy_url: 'http://u:<hidden>@p:1/x'"));
        check("  password_file: /x", 1, "basic_auth.password_file", Some("  password_file: /x"));
        check("  value: hunter2", 1, "authorization.value", None);
        check("  pass: hunter2", 1, "x.pass", Some("  pass: <hidden>"));
        check("- url: https://hooks/hunter2", 1, "alerting.webhooks[0].url", None);
        check("  username: [a]", 1, "basic_auth.username", Some("  username: [a]"));
        check("  regex: (.*)", 1, "relabel_configs[0].regex", Some("  regex: (.*)"));
        check("x:\n", 2, "x", None);
        check("x", 0, "", None);
    }

    #[test]
    fn a_part_of_a_secret_is_not_shown() {
        check("secrets:\n- a: hunter2", 2, "http_headers.X.secrets[0]", None);
        check("tls:\n  key: |\n    -----BEGIN\n    hunter2\n", 4, "", None);
        check("password: \"a\nhunter2: x\n", 2, "", None);
        check("a: b\nc\td: e\n", 2, "", Some("c\td: e"));
    }

    #[test]
    fn long_lines_are_cut() {
        let lines = ["x".repeat(500)];
        let shown = excerpt(&[&lines[0]], 1, "x").unwrap();
        assert_eq!(shown.chars().count(), CHARS_MAX + 1);
    }
}
