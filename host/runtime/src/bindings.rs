//! Bindings that `wasmtime` generates from `wit/v0.1`. The three worlds share one set of types.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]

mod shared {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        inline: "package ocellus:host; world shared { import ocellus:plugin/types@0.1.0; import ocellus:plugin/logging@0.1.0; import ocellus:plugin/crops@0.1.0; import ocellus:plugin/pictures@0.1.0; }",
        world: "ocellus:host/shared",
    });
}

pub use shared::ocellus::plugin::{crops, logging, pictures, types};

pub(crate) mod filter {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "filter",
        with: {
            "ocellus:plugin/types@0.1.0": crate::bindings::types,
            "ocellus:plugin/logging@0.1.0": crate::bindings::logging,
        },
    });
}

pub(crate) mod tracker {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "tracker",
        with: {
            "ocellus:plugin/types@0.1.0": crate::bindings::types,
            "ocellus:plugin/logging@0.1.0": crate::bindings::logging,
        },
    });
}

pub(crate) mod router {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "router",
        with: {
            "ocellus:plugin/types@0.1.0": crate::bindings::types,
            "ocellus:plugin/logging@0.1.0": crate::bindings::logging,
        },
    });
}
