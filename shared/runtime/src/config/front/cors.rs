use serde::Deserialize;

/// Which web pages of other origins may read our answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins as browsers name them (`https://shop.example`), or `["*"]` for any, or none.
    pub origins: Vec<String>,
}

impl Default for Cors {
    fn default() -> Cors {
        Cors { origins: vec!["*".to_owned()] }
    }
}

impl Cors {
    pub(super) fn problems(&self, problems: &mut Vec<String>) {
        let is_any = self.origins.iter().any(|origin| origin == "*");
        if is_any && self.origins.len() > 1 {
            problems.push("front.cors.origins: `*` stands alone".to_owned());
        }
        for origin in self.origins.iter().filter(|origin| *origin != "*" && !is_origin(origin)) {
            problems.push(format!("front.cors.origins: `{origin}` is no origin, such as `https://shop.example`"));
        }
    }
}

/// Scheme, host and perhaps a port, in lower case: what a browser sends is compared byte by byte.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    text == format!("{scheme}://{authority}").to_lowercase() && !authority.as_str().contains('@')
}
