//! The report in a browser: nothing is asked of the network, nothing fails, the slider shows what it says, every picture
//! has words. Needs Chromium (`chromium`, `chromium-browser` or `google-chrome` in the path); without it the test says
//! on standard error that it checked nothing.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Added to a copy of the page: looks at it from inside, and leaves what it found where the dumped text shows it.
const LOOK: &str = r#"<script>
const failures = [];
addEventListener("error", e => failures.push(String(e.message)), true);
addEventListener("securitypolicyviolation", e => failures.push("policy: " + e.blockedURI));
addEventListener("load", () => {
  const images = [...document.images];
  const slider = document.getElementById("epoch");
  const shown = () => [...new Set(images.filter(i => i.dataset.epoch && !i.hidden).map(i => i.dataset.epoch))].join();
  const last = shown();
  slider.focus();
  const focused = document.activeElement === slider;
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
  const ids = [...document.querySelectorAll("nav a")].map(a => a.getAttribute("href").slice(1));
  document.documentElement.dataset.found = JSON.stringify({
    failures, last, first: shown(), focused, told: slider.getAttribute("aria-valuetext"),
    broken: images.filter(i => !i.hidden && !i.naturalWidth).length,
    wordless: images.filter(i => !i.alt).length,
    unreachable: [...document.querySelectorAll(".wide")].filter(e => e.tabIndex < 0).length,
    lost: ids.filter(id => !document.getElementById(id)), sections: ids,
    requests: performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).map(r => r.name),
    wide: document.documentElement.scrollWidth > innerWidth,
  });
});
</script></body>"#;

fn browser() -> Option<&'static str> {
    let works = |name: &&str| {
        let tried = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(works)
}

/// What the page looks like from inside, in a window of this width.
fn found(browser: &str, page: &Path, width: u32) -> (serde_json::Value, String) {
    let profile = tempfile::tempdir().unwrap();
    let flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
                 --disable-component-update --disable-sync --enable-logging=stderr --dump-dom";
    let out = Command::new(browser)
        .args(flags.split_whitespace())
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let at = text.find("data-found=\"").expect("the page's script ran") + 12;
    let json = text[at..].split('"').next().unwrap().replace("&quot;", "\"").replace("&amp;", "&");
    (serde_json::from_str(&json).unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn the_report_opens_without_network_or_error() {
    let Some(browser) = browser() else {
        eprintln!("NOT CHECKED: no Chromium in the path, so nobody looked at the report");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let line = "train --limit 300 --batch 16 --epochs 3 --out run --quiet";
    let program =
        Command::new(env!("CARGO_BIN_EXE_glassbox")).current_dir(dir.path()).args(line.split(' ')).status();
    assert!(program.unwrap().success());
    let page = dir.path().join("page.html");
    let html = fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    assert!(html.len() < 12_000_000, "{} bytes", html.len());
    fs::write(&page, html.replace("</body>", LOOK)).unwrap();
    for width in [400, 1280] {
        let (found, log) = found(browser, &page, width);
        for empty in ["failures", "lost", "requests"] {
            assert_eq!(found[empty].as_array().unwrap().len(), 0, "{empty} at {width}: {found}");
        }
        for none in ["broken", "wordless", "unreachable"] {
            assert_eq!(found[none], 0, "{none} at {width}: {found}");
        }
        assert_eq!((&found["last"], &found["first"]), (&"epoch 3".into(), &"epoch 1".into()), "{found}");
        assert_eq!(
            (&found["told"], &found["focused"], &found["wide"]),
            (&"epoch 1".into(), &true.into(), &false.into())
        );
        assert!(!log.contains("CONSOLE"), "{log}");
        let sections = found["sections"].to_string();
        for part in
            ["curves", "confusion", "misclassified", "architecture", "layers", "evolution", "attributions"]
        {
            assert!(sections.contains(part), "{part}: {sections}");
        }
    }
}
