//! Circles between the modules of one crate: none of them can be read, tested or moved without all the others.
//!
//! A module is a file. It depends on the file that defines what it names: names that a façade re-exports lead past it. Tests
//! do not count.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path within the crate, `["rows", "codec"]`; the root is empty.
type Module = Vec<String>;

/// Reports the modules of a crate that import each other in circles.
pub(crate) fn check(name: &str, folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    let mut files = BTreeMap::new();
    read(folder, &[], &mut files)?;
    let dependencies = dependencies(&files);
    for circle in circles(&dependencies) {
        let inside = |module: &String| dependencies[module].iter().filter(|other| circle.contains(other));
        let edges = circle
            .iter()
            .map(|module| format!("\n    {module} -> {}", inside(module).cloned().collect::<Vec<_>>().join(", ")));
        faults.push(format!(
            "{} modules of {name} import each other in a circle:{}",
            circle.len(),
            edges.collect::<String>()
        ));
    }
    Ok(())
}

/// What one file says: what it names, and what it hands on under its own name.
#[derive(Debug, Default)]
struct File {
    named: BTreeSet<Module>,
    exported: HashMap<String, Module>,
}

fn read(folder: &Path, module: &[String], files: &mut BTreeMap<Module, File>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let mut inner = module.to_vec();
        if path.is_dir() {
            if name != "tests" && name != "bin" {
                inner.push(name);
                read(&path, &inner, files)?;
            }
            continue;
        }
        if path.extension().is_none_or(|e| e != "rs") || name == "tests" || name.ends_with("_tests") {
            continue;
        }
        if !matches!(name.as_str(), "mod" | "lib" | "main") {
            inner.push(name);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let tree = syn::parse_file(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        let mut reader = Reader { module: inner.clone(), ..Reader::default() };
        reader.visit_file(&tree);
        files.insert(inner, reader.finish());
    }
    Ok(())
}

/// Collects the paths of a file.
#[derive(Debug, Default)]
struct Reader {
    module: Module,
    /// What `use` brings in, by the name that it has here.
    imported: HashMap<String, Module>,
    exported: HashMap<String, Module>,
    paths: BTreeSet<Vec<String>>,
}

impl Reader {
    fn finish(self) -> File {
        let mut named = BTreeSet::new();
        for path in &self.paths {
            named.extend(self.absolute(path));
        }
        // A name that is brought in is used; a module that is brought in is used by what is named in it.
        named.extend(self.imported.values().cloned());
        File { named, exported: self.exported }
    }

    /// A path from the root of the crate, if it may lead into the crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            name => match self.imported.get(name) {
                Some(imported) => imported.clone(),
                None => [&self.module[..], &[name.to_owned()]].concat(),
            },
        };
        for part in rest {
            if part == "super" {
                base.pop();
            } else {
                base.push(part.clone());
            }
        }
        Some(base)
    }

    fn bring(&mut self, tree: &syn::UseTree, mut before: Vec<String>, exports: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.bring(&path.tree, before, exports);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.bring(item, before.clone(), exports)),
            syn::UseTree::Name(name) => self.brought(before, &name.ident.to_string(), None, exports),
            syn::UseTree::Rename(name) => {
                self.brought(before, &name.ident.to_string(), Some(name.rename.to_string()), exports);
            }
            syn::UseTree::Glob(_) => {
                let key = before.join("::");
                self.brought(before, "*", Some(key), false);
            }
        }
    }

    fn brought(&mut self, mut path: Vec<String>, name: &str, renamed: Option<String>, exports: bool) {
        let here = renamed.unwrap_or_else(|| name.to_owned());
        let here = if name == "self" { path.last().cloned().unwrap_or_default() } else { here };
        if name != "self" && name != "*" {
            path.push(name.to_owned());
        }
        if let Some(path) = self.absolute(&path) {
            let into = if exports { &mut self.exported } else { &mut self.imported };
            into.insert(here, path);
        }
    }

    /// Paths in what a macro is given.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    self.paths.insert(std::mem::replace(&mut path, vec![ident.to_string()]));
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {
                    self.paths.insert(std::mem::take(&mut path));
                }
            }
            colons = 0;
        }
        self.paths.insert(path);
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let text = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
        _ => String::new(),
    };
    attributes.iter().any(|attribute| text(attribute) == "test")
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            let exports = !matches!(item.vis, syn::Visibility::Inherited);
            self.bring(&item.tree, Vec::new(), exports);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// The file that defines what a path names, past those that only hand it on.
fn defined(files: &BTreeMap<Module, File>, path: &[String], depth: usize) -> Option<Module> {
    let longest = (0..=path.len()).rev().find(|len| files.contains_key(&path[..*len]))?;
    let (module, rest) = path.split_at(longest);
    let exported = rest.first().and_then(|name| files.get(module)?.exported.get(name));
    match exported {
        Some(to) if depth < 8 => defined(files, &[to, &rest[1..]].concat(), depth + 1),
        // A module by itself is not what is used of it.
        _ => (!rest.is_empty()).then(|| module.to_vec()),
    }
}

fn dependencies(files: &BTreeMap<Module, File>) -> BTreeMap<String, BTreeSet<String>> {
    let shown = |module: &[String]| if module.is_empty() { "crate".to_owned() } else { module.join("::") };
    let of = |(module, file): (&Module, &File)| {
        let defined = file.named.iter().filter_map(|path| defined(files, path, 0));
        let others = defined.filter(|other| other != module && !other.is_empty());
        (shown(module), others.map(|other| shown(&other)).collect())
    };
    files.iter().map(of).collect()
}

/// The sets of modules that reach each other: for each pair of them there are ways in both directions.
fn circles(dependencies: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for other in dependencies.get(module).into_iter().flatten() {
                if seen.insert(other) {
                    next.push(other);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<&String>> = dependencies.keys().map(|m| (m, reach(m))).collect();
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, others) in &reached {
        let circle = others.iter().filter(|other| reached.get(**other).is_some_and(|back| back.contains(*module)));
        let circle: Vec<String> = circle.map(|other| (*other).clone()).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str) -> Module {
        path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let read = |(path, text): &(&str, &str)| {
            let mut reader = Reader { module: module(path), ..Reader::default() };
            reader.visit_file(&syn::parse_file(text).unwrap());
            (module(path), reader.finish())
        };
        circles(&dependencies(&files.iter().map(read).collect()))
    }

    #[test]
    fn circles_are_found_through_uses_paths_and_macros() {
        assert_eq!(found(&[("a", "use crate::b::B;"), ("b", "fn f() { crate::a::g() }")]), [["a", "b"]]);
        assert_eq!(
            found(&[("a", "use crate::b; fn f() { b::g() }"), ("b", "fn f() { vec![super::a::G] }")]),
            [["a", "b"]]
        );
        let three =
            [("a", "use crate::{b::{B, c::C}, d::D};"), ("b::c", "use super::super::d::D;"), ("d", "use crate::a::A;")];
        assert_eq!(found(&three), [["a", "b::c", "d"]]);
    }

    #[test]
    fn facades_modules_and_tests_make_no_circle() {
        // What `b` hands on is of `c`, which knows neither.
        let facade = [("a", "use crate::b::C;"), ("b", "pub use c::C; use crate::a::A;"), ("b::c", "struct C;")];
        assert!(found(&facade).is_empty());
        assert!(found(&[("a", "mod b; use b::B;"), ("a::b", "struct B;")]).is_empty());
        let tests = [
            ("a", "use crate::b::B;"),
            ("b", "#[cfg(test)] mod tests { use crate::a::A; } #[cfg(test)] use crate::a::A;"),
        ];
        assert!(found(&tests).is_empty());
    }
}
