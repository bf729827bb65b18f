//! Texts that become part of HTML and SVG.
//!
//! It must not know what they say. Invariant: what [`escape`] returns is text wherever it stands between tags or in a quoted
//! attribute, in HTML and in XML.

/// A text without anything that markup is made of. Characters that XML doesn't know are left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(one),
            '\u{fffe}' | '\u{ffff}' => {}
            _ if one.is_control() => {}
            _ => escaped.push(one),
        }
    }
    escaped
}

/// A name of somebody else's, which may be in a script that is written from right to left, in text of ours.
pub fn name(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        assert_eq!(
            escape("<script>]]>&\"'\u{0}\u{b}\u{7f}\u{ffff}é"),
            "&lt;script&gt;]]&gt;&amp;&quot;&#39;é"
        );
        assert_eq!(name("a<b"), "<bdi>a&lt;b</bdi>");
    }
}
