//! `docs/configuration.md` is what the declarations of the sections say.

use std::path::Path;

#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = config::reference();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = page.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(
        page == found,
        "docs/configuration.md is not what the source says ({difference:?}); run UPDATE_EXPECT=1 cargo test -p config --test reference"
    );
}

/// What the page must say of a field, whatever its layout.
#[test]
fn a_field_is_described_by_its_declaration() {
    let page = config::reference();
    let row = |name: &str| page.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap().to_owned();
    assert!(
        row("scrape_interval").contains("| duration | `1m` | The time from one scrape"),
        "{}",
        row("scrape_interval")
    );
    assert!(row("job_name").contains("| string | **required** |"), "{}", row("job_name"));
    assert!(row("series_limit").contains("**Weft.**"), "{}", row("series_limit"));
    assert!(row("tracing").contains("**Not served**: traces are not sent"), "{}", row("tracing"));
    assert!(row("oci_sd_configs").contains("**Not served**"), "{}", row("oci_sd_configs"));
    assert!(row("password").contains("| secret |"), "{}", row("password"));
    assert!(page.contains("| `role` | `pod`, `service`"), "{page}");
    // Every section that is linked is there.
    for (_, link) in page.split("](#").skip(1).map(|rest| rest.split_once(')').unwrap()).map(|(link, _)| ("", link)) {
        assert!(page.contains(&format!("\n## `{link}`\n")), "{link}");
    }
}
