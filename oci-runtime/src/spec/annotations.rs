use std::collections::HashMap;

use oci_spec::image::ImageConfiguration;

/// Labels and the implicit annotations of image-spec conversion.md, "Annotation Fields": when both have a key, the
/// converter MUST use the label's value.
pub(super) fn from_image(image: &ImageConfiguration) -> HashMap<String, String> {
    let config = image.config().as_ref();
    let features = image.os_features().as_ref().map(|features| features.join(","));
    // `org.opencontainers.image.exposedPorts`: "the list of values that correspond to the keys", comma separated.
    let ports = config.and_then(|config| config.exposed_ports().as_ref()).map(|ports| {
        let mut ports = ports.clone();
        ports.sort();
        ports.join(",")
    });
    let implicit = [
        ("os", Some(image.os().to_string())),
        ("architecture", Some(image.architecture().to_string())),
        ("variant", image.variant().clone()),
        ("os.version", image.os_version().clone()),
        ("os.features", features),
        ("author", image.author().clone()),
        ("created", image.created().clone()),
        ("stopSignal", config.and_then(|config| config.stop_signal().clone())),
        ("exposedPorts", ports),
    ];
    let mut annotations: HashMap<String, String> = implicit
        .into_iter()
        .filter_map(|(key, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some((format!("org.opencontainers.image.{key}"), value))
        })
        .collect();
    // runtime-spec config.md, Annotations: keys MUST NOT be empty.
    let labels = config.and_then(|config| config.labels().clone()).unwrap_or_default();
    annotations.extend(labels.into_iter().filter(|(key, _)| !key.is_empty()));
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_win() {
        let image: ImageConfiguration = serde_json::from_str(
            r#"{"os":"linux","architecture":"arm","variant":"v7","author":"me","created":"2020-01-01T00:00:00Z",
                "os.features":["a","b"],"rootfs":{"type":"layers","diff_ids":[]},
                "config":{"StopSignal":"SIGQUIT","ExposedPorts":{"80/tcp":{},"443":{}},
                "Labels":{"org.opencontainers.image.author":"label","x":"y","":"z"}}}"#,
        )
        .unwrap();
        let mut all: Vec<_> = from_image(&image).into_iter().collect();
        all.sort();
        let all: Vec<_> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            all,
            [
                "org.opencontainers.image.architecture=arm",
                "org.opencontainers.image.author=label",
                "org.opencontainers.image.created=2020-01-01T00:00:00Z",
                "org.opencontainers.image.exposedPorts=443,80/tcp",
                "org.opencontainers.image.os=linux",
                "org.opencontainers.image.os.features=a,b",
                "org.opencontainers.image.stopSignal=SIGQUIT",
                "org.opencontainers.image.variant=v7",
                "x=y",
            ]
        );
    }
}
