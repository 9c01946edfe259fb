//! Inspection of a component before it is compiled: its kind, its imports and its extent.
//!
//! Guarantees: a file that passes is valid WebAssembly, a component of this version line of the
//! contract, has only granted imports, and is within the limits of compilation.

use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::{CompileLimits, Kind, Refusal, error::CONTRACT};

/// Imports that every kind may have: types without functions, and logging.
const GRANTED: [&str; 2] = ["ocellus:plugin/types", "ocellus:plugin/logging"];

/// The capability that plugins of a kind may request; it grants the interface of the same name.
pub(crate) fn capability(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Filter => Some("crops"),
        Kind::Tracker => None,
        Kind::Router => Some("pictures"),
    }
}

pub(crate) struct Inspected {
    pub(crate) kind: Kind,
    /// The capability whose interface it imports: its manifest has to request it.
    pub(crate) uses: Option<&'static str>,
}

/// Inspects the bytes of a component.
///
/// # Errors
/// They are no plugin, or exceed the limits.
pub(crate) fn inspect(bytes: &[u8], limits: &CompileLimits) -> Result<Inspected, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(Refusal::NotWebAssembly);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(Refusal::CoreModule);
    }
    Extent::default().measure(bytes, limits)?;
    // The features of the engine, so that it accepts all that passes here.
    let features = WasmFeatures::default().difference(WasmFeatures::RELAXED_SIMD | WasmFeatures::THREADS);
    Validator::new_with_features(features).validate_all(bytes).map_err(|e| malformed(&e))?;

    let (imports, exports) = names(bytes).map_err(|e| malformed(&e))?;
    let kind = kind(&exports)?;
    let mut uses = None;
    for import in imports {
        let (name, version) = versioned(&import);
        let used = capability(kind).filter(|capability| name.strip_prefix("ocellus:plugin/") == Some(capability));
        if !(used.is_some() || GRANTED.contains(&name)) || !speaks(version) {
            return Err(Refusal::Import(import));
        }
        uses = uses.or(used);
    }
    Ok(Inspected { kind, uses })
}

fn malformed(error: &wasmparser::BinaryReaderError) -> Refusal {
    if error.message().contains("unexpected end") { Refusal::Truncated } else { Refusal::Damaged(error.to_string()) }
}

/// The extent of a component, with all that is nested in it.
#[derive(Default)]
struct Extent {
    functions: u64,
    types: u64,
    parts: u64,
    depth: u64,
}

impl Extent {
    /// Counts section by section and stops at the first exceeded limit.
    fn measure(&mut self, bytes: &[u8], limits: &CompileLimits) -> Result<(), Refusal> {
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|e| malformed(&e))? {
                Payload::Version { .. } => {
                    add(&mut self.depth, 1u64, "parts within one another", limits.depth)?;
                    add(&mut self.parts, 1u64, "parts", limits.parts)?;
                }
                Payload::End(_) => self.depth = self.depth.saturating_sub(1),
                Payload::CodeSectionStart { count, .. } => {
                    add(&mut self.functions, count, "functions", limits.functions)?
                }
                Payload::CodeSectionEntry(body) => {
                    let length = body.range().len() as u64;
                    add(&mut 0, length, "bytes in one function", limits.function_bytes)?;
                }
                Payload::TypeSection(section) => add(&mut self.types, section.count(), "types", limits.types)?,
                Payload::CoreTypeSection(section) => add(&mut self.types, section.count(), "types", limits.types)?,
                Payload::ComponentTypeSection(section) => add(&mut self.types, section.count(), "types", limits.types)?,
                Payload::InstanceSection(section) => add(&mut self.parts, section.count(), "parts", limits.parts)?,
                Payload::ComponentInstanceSection(section) => {
                    add(&mut self.parts, section.count(), "parts", limits.parts)?
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn add(so_far: &mut u64, more: impl Into<u64>, what: &'static str, limit: u64) -> Result<(), Refusal> {
    *so_far = so_far.saturating_add(more.into());
    if *so_far > limit { Err(Refusal::Extent { what, found: *so_far, limit }) } else { Ok(()) }
}

/// Imports and exports of the outermost component.
fn names(bytes: &[u8]) -> wasmparser::Result<(Vec<String>, Vec<String>)> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

fn kind(exports: &[String]) -> Result<Kind, Refusal> {
    let of = |name: &str| match name {
        "ocellus:plugin/filtering" => Some(Kind::Filter),
        "ocellus:plugin/tracking" => Some(Kind::Tracker),
        "ocellus:plugin/routing" => Some(Kind::Router),
        _ => None,
    };
    let known: Vec<_> = exports.iter().filter_map(|e| Some((e, of(versioned(e).0)?))).collect();
    match known.as_slice() {
        [] => Err(Refusal::NoContract { exports: exports.to_vec() }),
        [(export, kind)] if speaks(versioned(export).1) => Ok(*kind),
        [(export, _)] => Err(Refusal::Version { export: (*export).clone() }),
        several => Err(Refusal::SeveralKinds(several.iter().map(|(e, _)| (*e).clone()).collect())),
    }
}

/// `a:b/c@1.2.3` as `a:b/c` and `1.2.3`.
fn versioned(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// Whether a version belongs to the supported line of the contract; `0.1.0-draft` does not.
fn speaks(version: &str) -> bool {
    let patch = version.strip_prefix(CONTRACT).and_then(|rest| rest.strip_prefix('.'));
    patch.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_patch_versions_of_a_line_are_supported() {
        for good in ["0.1.0", "0.1.17"] {
            assert!(speaks(good), "{good}");
        }
        for bad in ["", "0.1", "0.1.", "0.10.0", "0.2.0", "1.0.0", "0.1.0-draft"] {
            assert!(!speaks(bad), "{bad}");
        }
    }

    #[test]
    fn a_component_of_another_line_is_refused_with_both_versions() {
        let refusal = kind(&["ocellus:plugin/tracking@0.2.0".into()]).unwrap_err();
        assert_eq!(refusal.to_string(), "exports ocellus:plugin/tracking@0.2.0; this server speaks 0.1");
    }

    #[test]
    fn other_files_are_refused() {
        let refusal = |bytes: &[u8]| inspect(bytes, &CompileLimits::default()).map(|_| ()).unwrap_err();
        assert_eq!(refusal(b""), Refusal::Empty);
        assert_eq!(refusal(b"hello"), Refusal::NotWebAssembly);
        assert_eq!(refusal(b"\0asm\x01\0\0\0"), Refusal::CoreModule);
        assert_eq!(refusal(b"\0asm\x0d\0\x01\0"), Refusal::NoContract { exports: vec![] });
        assert_eq!(refusal(b"\0asm\x0d"), Refusal::Truncated);
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(tail in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = inspect(&[b"\0asm\x0d\0\x01\0".as_slice(), &tail].concat(), &CompileLimits::default());
        }
    }
}
