/// A token scope for a repository (distribution, Token Scope Documentation).
pub(crate) fn repository(name: &str, actions: &str) -> String {
    format!("repository:{name}:{actions}")
}

/// The scopes that a request wants and those that the registry asks for, each once: the actions for one resource
/// are joined.
pub(super) fn merge(wanted: &[String], asked: Option<&str>) -> Vec<String> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    // More scopes than this are no answer to one request.
    let asked = asked.into_iter().flat_map(str::split_ascii_whitespace).take(16);
    for scope in wanted.iter().map(String::as_str).chain(asked) {
        // The name may hold colons (a port), the actions do not.
        let Some((resource, actions)) = scope.rsplit_once(':') else { continue };
        let at = out.iter().position(|(r, _)| r == resource).unwrap_or_else(|| {
            out.push((resource.to_owned(), Vec::new()));
            out.len() - 1
        });
        let Some((_, known)) = out.get_mut(at) else { continue };
        for action in actions.split(',') {
            if !known.iter().any(|k| k == action) {
                known.push(action.to_owned());
            }
        }
    }
    out.into_iter().map(|(resource, actions)| format!("{resource}:{}", actions.join(","))).collect()
}

/// Whether a token for the scopes `held` is good for the scopes `wanted`.
pub(super) fn covers(held: &[String], wanted: &[String]) -> bool {
    let allows = |held: &String, resource: &str, action: &str| {
        held.rsplit_once(':')
            .is_some_and(|(r, actions)| r == resource && actions.split(',').any(|a| a == action))
    };
    wanted.iter().all(|scope| match scope.rsplit_once(':') {
        Some((resource, actions)) => {
            actions.split(',').all(|action| held.iter().any(|held| allows(held, resource, action)))
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_for_more_is_good_for_less() {
        let held = [repository("a", "pull,push"), repository("b", "pull")];
        assert!(covers(&held, &[repository("a", "pull")]));
        assert!(covers(&held, &[repository("b", "pull"), repository("a", "push,pull")]));
        assert!(!covers(&held, &[repository("b", "push")]));
        assert!(!covers(&held, &[repository("a", "pull,delete")]));
        assert!(!covers(&[], &[repository("a", "pull")]));
    }

    #[test]
    fn joins_actions() {
        let wanted = [repository("a/b", "pull")];
        for (asked, expected) in [
            (None, "repository:a/b:pull"),
            (Some("repository:a/b:pull"), "repository:a/b:pull"),
            (Some("repository:a/b:push,pull"), "repository:a/b:pull,push"),
            (
                Some("repository:c:pull registry:catalog:*"),
                "repository:a/b:pull repository:c:pull registry:catalog:*",
            ),
            (Some("garbage"), "repository:a/b:pull"),
        ] {
            assert_eq!(merge(&wanted, asked).join(" "), expected);
        }
    }
}
