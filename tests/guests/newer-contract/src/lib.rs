//! A tracker of a contract version that does not exist yet.

wit_bindgen::generate!({
    inline: "
        package ocellus:plugin@0.2.0;
        interface tracking { describe: func() -> string; }
        world tracker { export tracking; }
    ",
});

struct Newer;

impl exports::ocellus::plugin::tracking::Guest for Newer {
    fn describe() -> String {
        "newer".into()
    }
}

export!(Newer);
