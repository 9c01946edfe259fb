//! Bindings that `wit-bindgen` generates from `wit/v0.1`. Private, so that a change of its
//! conventions stays in this crate.
//!
//! The three worlds share one set of types, generated from a world that only imports them.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]

mod shared {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "package ocellus:sdk; world shared { import ocellus:plugin/types@0.1.0; import ocellus:plugin/logging@0.1.0; import ocellus:plugin/crops@0.1.0; import ocellus:plugin/pictures@0.1.0; }",
        world: "ocellus:sdk/shared",
        generate_all,
        additional_derives: [PartialEq],
    });
}

pub(crate) use shared::ocellus::plugin::{crops, logging, pictures, types};

pub mod filter {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "filter",
        with: {
            "ocellus:plugin/types@0.1.0": crate::bindings::types,
            "ocellus:plugin/logging@0.1.0": crate::bindings::logging,
        },
        pub_export_macro: true,
        export_macro_name: "export_filter",
        default_bindings_module: "ocellus_plugin::__private::filter",
        additional_derives: [PartialEq],
    });
}

pub mod tracker {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "tracker",
        with: {
            "ocellus:plugin/types@0.1.0": crate::bindings::types,
            "ocellus:plugin/logging@0.1.0": crate::bindings::logging,
        },
        pub_export_macro: true,
        export_macro_name: "export_tracker",
        default_bindings_module: "ocellus_plugin::__private::tracker",
        additional_derives: [PartialEq],
    });
}

pub mod router {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "router",
        with: {
            "ocellus:plugin/types@0.1.0": crate::bindings::types,
            "ocellus:plugin/logging@0.1.0": crate::bindings::logging,
        },
        pub_export_macro: true,
        export_macro_name: "export_router",
        default_bindings_module: "ocellus_plugin::__private::router",
        additional_derives: [PartialEq],
    });
}
