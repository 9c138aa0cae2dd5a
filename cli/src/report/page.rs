//! The page: facts, sections with their links, pictures as data URIs.

use crate::error::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use glassbox_engine::io::atomic;
use std::path::Path;

const TEMPLATE: &str = include_str!("template.html");

/// A page that grows section by section.
#[derive(Debug)]
pub struct Page {
    title: String,
    facts: String,
    nav: String,
    sections: String,
}

impl Page {
    /// An empty one.
    pub fn new(title: String) -> Self {
        Self { title, facts: String::new(), nav: String::new(), sections: String::new() }
    }

    /// Adds a number of interest under the title.
    pub fn fact(&mut self, name: &str, value: &str) {
        self.facts += &format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    }

    /// Adds a section; one that has nothing to show is left out.
    pub fn section(&mut self, title: &str, html: String) {
        if html.is_empty() {
            return;
        }
        let id = title.to_lowercase().replace(' ', "-");
        self.nav += &format!("<a href=\"#{id}\">{title}</a>");
        self.sections += &format!("<section id=\"{id}\"><h2>{title}</h2>{html}</section>\n");
    }

    /// The text of the file. The template is cut at its places first, so that a text that looks like a place stays.
    pub fn finish(self) -> String {
        let title = escape(&self.title);
        let mut out = String::with_capacity(TEMPLATE.len() + self.sections.len() + 4096);
        for (i, part) in TEMPLATE.split("{{").enumerate() {
            let (place, rest) = if i == 0 { ("", part) } else { part.split_once("}}").unwrap_or(("", part)) };
            out += match place {
                "title" => &title,
                "facts" => &self.facts,
                "nav" => &self.nav,
                "sections" => &self.sections,
                "version" => env!("CARGO_PKG_VERSION"),
                _ => "",
            };
            out += rest;
        }
        out
    }
}

/// A picture file with its words, as alternative text and below it.
pub fn picture(file: &Path, words: &str) -> Result<String> {
    let kind = if file.extension().is_some_and(|e| e == "svg") { "image/svg+xml" } else { "image/png" };
    let uri = data_uri(kind, &atomic::read(file)?);
    let words = escape(words);
    Ok(format!(
        "<figure><div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"{words}\"><img src=\"{uri}\" \
         alt=\"{words}\"></div><figcaption>{words}</figcaption></figure>"
    ))
}

/// Bytes inside a link.
pub fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_places_filled_once() {
        let mut page = Page::new("a<b> {{nav}}".into());
        page.section("One", "<p>{{facts}}</p>".into());
        page.section("Two", String::new());
        let html = page.finish();
        assert!(html.contains("<title>a&lt;b&gt; {{nav}}</title>") && html.contains("<p>{{facts}}</p>"));
        assert!(html.contains("href=\"#one\"") && !html.contains("Two"));
        assert!(!html.contains("http://") && !html.contains("https://"));
    }
}
