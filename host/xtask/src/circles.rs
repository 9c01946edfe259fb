//! Covers: imports within each crate are acyclic: sibling modules import each other in one
//! direction, and no module imports what its ancestors define, the crate's root aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::shell::root;

/// Path of a module from the root of the crate, whose own path is empty.
type Module = Vec<String>;

/// Adds the code of all modules in a folder, without comments and inline modules, and the names of
/// those that are for tests only.
fn read(folder: &Path, module: &Module, crate_code: &mut BTreeMap<Module, String>, tests: &mut Vec<Module>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_own = name == "mod" || module.is_empty() && ["lib", "main"].contains(&name.as_str());
        let inner = if is_own { module.clone() } else { [module.as_slice(), &[name]].concat() };
        if path.is_dir() {
            read(&path, &inner, crate_code, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let (mut code, mut in_module, mut is_test) = (String::new(), false, false);
            for line in fs::read_to_string(&path).unwrap().lines().filter_map(|line| line.split("//").next()) {
                let item = line.trim_start_matches("pub").trim_start_matches(|c| c != ' ').trim_start();
                in_module |= line.ends_with('{') && (line.starts_with("mod ") || item.starts_with("mod "));
                if let Some((_, name)) =
                    line.strip_suffix(';').filter(|_| is_test).and_then(|line| line.split_once("mod "))
                {
                    tests.push([inner.as_slice(), &[name.to_owned()]].concat());
                }
                is_test = line == "#[cfg(test)]";
                if !in_module {
                    code.extend([line, "\n"]);
                }
                in_module &= line != "}";
            }
            crate_code.insert(inner, code.replace("(in crate::", "("));
        }
    }
}

/// All paths in some code, those in the braces of a `use` in full.
fn paths(code: &str) -> Vec<String> {
    let (mut found, mut outer, mut is_alias) = (Vec::new(), vec![String::new()], false);
    for piece in code.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let path = format!("{}{word}", outer.last().unwrap());
        if path.contains("::") && !is_alias && !matches!(word, "" | "as") && !word.ends_with("::") {
            found.push(path.clone());
        }
        is_alias = word == "as" || is_alias && word.is_empty();
        match piece.chars().last() {
            Some('{') => outer.push(if word.ends_with("::") { path } else { String::new() }),
            Some('}') if outer.len() > 1 => drop(outer.pop()),
            _ => {}
        }
    }
    found
}

/// The module that a path leads to. Re-exports of the root are followed.
fn target(path: &str, from: &Module, modules: &BTreeMap<Module, String>, exports: &BTreeMap<String, String>) -> Module {
    let mut found = from.clone();
    for name in path.split("::") {
        match name {
            "crate" => found.clear(),
            "super" => drop(found.pop()),
            "self" => {}
            name if modules.contains_key(&[found.as_slice(), &[name.to_owned()]].concat()) => {
                found.push(name.to_owned())
            }
            name => match exports.get(name).filter(|_| found.is_empty()) {
                Some(path) => return target(path, &found, modules, &BTreeMap::new()),
                None => break,
            },
        }
    }
    found
}

/// Violations in the imports of a crate.
fn faults(code: &BTreeMap<Module, String>) -> Vec<String> {
    let of_root = code.get(&Vec::new()).map(|code| paths(code)).unwrap_or_default();
    let exports = of_root.into_iter().filter_map(|path| Some((path.rsplit("::").next()?.to_owned(), path))).collect();
    let mut faults = Vec::new();
    // Between modules side by side, each with all that is in it.
    let mut imports: BTreeMap<&[String], BTreeSet<Module>> = BTreeMap::new();
    for (from, text) in code {
        for path in paths(text).iter().filter(|path| path.starts_with("crate::") || path.starts_with("super::")) {
            let to = target(path, from, code, &exports);
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            match (from.get(..=common), to.get(..=common)) {
                (Some(from), Some(to)) => drop(imports.entry(from).or_default().insert(to.to_owned())),
                (Some(_), None) if !to.is_empty() => faults.push(format!("{} imports {path}", from.join("::"))),
                _ => {}
            }
        }
    }
    // Modules that import nothing, or that nothing imports, are in no circle.
    loop {
        let (before, all) = (imports.len(), imports.clone());
        let imported: BTreeSet<&Module> = all.values().flatten().collect();
        imports.retain(|from, to| {
            to.retain(|to| all.contains_key(to.as_slice()));
            !to.is_empty() && imported.contains(&from.to_vec())
        });
        if imports.len() == before {
            break;
        }
    }
    let circle = |(from, to): (&[String], BTreeSet<Module>)| {
        format!("{} <-> {}", from.join("::"), to.iter().map(|to| to.join("::")).collect::<Vec<_>>().join(", "))
    };
    faults.extend(imports.into_iter().map(circle));
    faults
}

#[test]
fn modules_import_each_other_in_one_direction() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("host")).unwrap() {
        let folder = entry.unwrap().path();
        let (mut code, mut tests) = (BTreeMap::new(), Vec::new());
        if folder.join("src").is_dir() {
            read(&folder.join("src"), &Vec::new(), &mut code, &mut tests);
        }
        code.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        wrong.extend(faults(&code).into_iter().map(|fault| format!("{}: {fault}", folder.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_and_an_import_from_above_are_found() {
    let files = [
        ("", "pub use b::{inner::X as Y, Z};"),
        ("a", "use crate::Z;"),
        ("b", "use crate::{a::f, std};"),
        ("b::inner", "use super::other;"),
        ("b::other", "use super::{C, super::c::D};"),
        ("c", ""),
    ];
    let names = |path: &str| path.split_terminator("::").map(str::to_owned).collect();
    let found = faults(&files.iter().map(|(path, code)| (names(path), (*code).to_owned())).collect());
    assert_eq!(found, ["b::other imports super::C", "a <-> b", "b <-> a"]);
}
