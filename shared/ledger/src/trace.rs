//! Who caused it: the W3C `traceparent` of the request that is being answered goes along with the jobs that it adds, to
//! whoever does them.

tokio::task_local! {
    static TRACE: Option<String>;
}

/// Does `work`; the jobs that it adds (in this task) carry this `traceparent`. What is none is left out: it came from
/// outside.
pub async fn traced<R>(traceparent: Option<&str>, work: impl Future<Output = R>) -> R {
    TRACE.scope(traceparent.filter(|text| is_traceparent(text)).map(str::to_owned), work).await
}

/// Of the work that is being done.
pub(crate) fn current() -> Option<String> {
    TRACE.try_with(Clone::clone).ok().flatten()
}

/// `version-trace-parent-flags`, in lower-case hex; neither id is zero.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.iter().all(|part| hex(part))
        && parts[0] != "ff"
        && !zero(parts[1])
        && !zero(parts[2])
}

#[cfg(test)]
mod tests {
    use super::is_traceparent;

    #[test]
    fn only_what_the_standard_describes_goes_along() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good));
        for bad in [
            "",
            "00",
            &good[1..],
            &good.to_uppercase(),
            &good.replace("00-", "ff-"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319\u{e9}-b7ad6b7169203331-01",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
