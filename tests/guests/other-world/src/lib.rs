//! A valid component that is not a plugin.

wit_bindgen::generate!({
    inline: "
        package example:greeting;
        interface greeter { greet: func(name: string) -> string; }
        world other { export greeter; }
    ",
});

struct Greeter;

impl exports::example::greeting::greeter::Guest for Greeter {
    fn greet(name: String) -> String {
        format!("hello {name}")
    }
}

export!(Greeter);
