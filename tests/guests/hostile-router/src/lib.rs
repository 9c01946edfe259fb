//! A router that misbehaves as its setting says.

use ocellus_plugin::{Body, Header, Manifest, Part, Picture, Post, Request, Router};
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Misdeed {
    OtherHost,
    OtherMethod,
    SplitHeader,
    SplitPart,
    MissingPicture,
    ReportError,
}

#[derive(Debug, Deserialize)]
struct Settings {
    misdeed: Misdeed,
}

struct Hostile(Misdeed);

impl Router for Hostile {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "hostile_router",
        version: "0.1.0",
        description: "Misbehaves.",
        settings_schema: r#"{"type": "object"}"#,
        ..Manifest::DEFAULT
    };

    fn open(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings.misdeed))
    }

    fn encode(&self, _: Post) -> Result<Request, String> {
        let mut parts = Vec::new();
        let mut request = Request { method: "POST".into(), url: None, headers: vec![], body: Body::Bytes(vec![]) };
        match self.0 {
            Misdeed::OtherHost => request.url = Some("http://169.254.169.254/latest/meta-data".into()),
            Misdeed::OtherMethod => request.method = "DELETE".into(),
            Misdeed::SplitHeader => {
                request.headers.push(Header { name: "x".into(), value: "1\r\nauthorization: stolen".into() })
            }
            Misdeed::SplitPart => parts.push(Part::text("a\"\r\n\r\nb", "")),
            Misdeed::MissingPicture => parts.push(Part::picture("last", "last.jpg", Picture::LastFrame)),
            Misdeed::ReportError => return Err("cannot say this".into()),
        }
        if !parts.is_empty() {
            request.body = Body::Multipart(parts);
        }
        Ok(request)
    }
}

ocellus_plugin::register!(Hostile: Router);
