//! A router that imports an interface to read files, which no plugin is granted.

wit_bindgen::generate!({
    inline: "
        package ocellus:plugin@0.1.0;
        interface routing { describe: func() -> string; }
        world router { import example:files/reading@1.0.0; export routing; }

        package example:files@1.0.0 { interface reading { read: func(path: string) -> list<u8>; } }
    ",
    generate_all,
});

struct FileReader;

impl exports::ocellus::plugin::routing::Guest for FileReader {
    fn describe() -> String {
        String::from_utf8_lossy(&example::files::reading::read("/etc/passwd")).into_owned()
    }
}

export!(FileReader);
