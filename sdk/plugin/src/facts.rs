//! Posted facts about an object: features by networks and attributes by filters.

use crate::Attribute;

/// Classification of an object by a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feature<'a> {
    /// Name of the feature: `color`.
    pub name: &'a str,
    /// Label: `red`.
    pub label: &'a str,
    /// 0 to 1.
    pub confidence: f64,
}

/// Splits [`Post::attributes`](crate::Post::attributes) into features and the attributes by
/// filters.
pub fn facts(attributes: &[Attribute]) -> (Vec<Feature<'_>>, Vec<&Attribute>) {
    let confidence_of = |name: &str| {
        let key = format!("{name}.confidence");
        attributes.iter().find(|a| a.key == key)?.value.parse::<f64>().ok()
    };
    let (mut features, mut noted) = (Vec::new(), Vec::new());
    for attribute in attributes {
        if let Some(confidence) = confidence_of(&attribute.key) {
            features.push(Feature { name: &attribute.key, label: &attribute.value, confidence });
        } else if attribute.key.strip_suffix(".confidence").and_then(confidence_of).is_none() {
            noted.push(attribute);
        }
    }
    (features, noted)
}

/// Rounds to six decimal places, as in the vendor's events.
pub fn six_digits(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_a_label_with_its_confidence() {
        let attribute = |key: &str, value: &str| Attribute { key: key.into(), value: value.into() };
        let all = [
            attribute("color", "red"),
            attribute("color.confidence", "0.75"),
            attribute("gate", "3"),
            attribute("gate.confidence", "high"),
        ];
        let (features, noted) = facts(&all);
        assert_eq!(features, [Feature { name: "color", label: "red", confidence: 0.75 }]);
        assert_eq!(noted, [&all[2], &all[3]]);
        assert_eq!(six_digits(0.799_950_42), 0.79995);
    }
}
