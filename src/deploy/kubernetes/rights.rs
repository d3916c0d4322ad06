//! What the credential may do here, by the API server's own word (`SelfSubjectAccessReview`): what hms lacks, and what it has and never needs.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::KubernetesTarget;
use super::access::read;
use super::rbac::{Rule, all_rules};
use crate::deploy::TargetError;

/// Rights that hms never uses, and that a stolen credential would be used for.
const BEYOND: [(&str, &str, &str); 7] = [
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "pods/exec", "create"),
    ("", "pods", "create"),
    ("rbac.authorization.k8s.io", "rolebindings", "create"),
    ("apps", "deployments", "deletecollection"),
    ("*", "*", "*"),
];

/// How a credential's rights stand to what hms does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The context and namespace that were asked.
    pub place: String,
    /// What it needs and may not, as `VERB RESOURCE/NAME`.
    pub missing: Vec<String>,
    /// What it may and does not need.
    pub beyond: Vec<String>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    group: String,
    resource: String,
    name: Option<String>,
    verb: String,
}

impl Asked {
    fn told(&self) -> String {
        let name = self.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        if self.verb == "*" { "anything".to_owned() } else { format!("{} {}{name}", self.verb, self.resource) }
    }
}

/// The questions that a rule is.
fn asked(rule: &Rule) -> Vec<Asked> {
    let names: Vec<Option<String>> = if rule.names.is_empty() { vec![None] } else { rule.names.iter().cloned().map(Some).collect() };
    let of = |resource: &&'static str, verb: &&'static str, name: &Option<String>| Asked {
        group: rule.group.to_owned(),
        resource: (*resource).to_owned(),
        name: name.clone(),
        verb: (*verb).to_owned(),
    };
    let pairs = rule.resources.iter().flat_map(|resource| rule.verbs.iter().map(move |verb| (resource, verb)));
    pairs.flat_map(|(resource, verb)| names.iter().map(move |name| of(resource, verb, name))).collect()
}

impl KubernetesTarget {
    /// Asks what the credential lacks for this place, and what it may beyond.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn rights(&self) -> Result<Rights, TargetError> {
        let mut rights = Rights { place: self.access.name(), ..Rights::default() };
        // Its uid names the cluster.
        let cluster =
            Asked { group: String::new(), resource: "namespaces".to_owned(), name: Some("kube-system".to_owned()), verb: "get".to_owned() };
        if !self.may(&cluster).await? {
            rights.missing.push(cluster.told());
        }
        let mut questions: Vec<Asked> = Vec::new();
        for question in all_rules(&self.place, &self.others, self.migration.as_ref()).iter().flat_map(asked) {
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
        for question in questions {
            if !self.may(&question).await? {
                rights.missing.push(question.told());
            }
        }
        for (group, resource, verb) in BEYOND {
            let question = Asked { group: group.to_owned(), resource: resource.to_owned(), name: None, verb: verb.to_owned() };
            if self.may(&question).await? {
                rights.beyond.push(question.told());
            }
        }
        Ok(rights)
    }

    async fn may(&self, asked: &Asked) -> Result<bool, TargetError> {
        // A resource's part is a field of its own there.
        let (resource, part) = match asked.resource.split_once('/') {
            Some((resource, part)) => (resource.to_owned(), Some(part.to_owned())),
            None => (asked.resource.clone(), None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: (asked.resource != "namespaces").then(|| self.access.namespace().to_owned()),
                    group: Some(asked.group.clone()),
                    resource: Some(resource),
                    subresource: part,
                    name: asked.name.clone(),
                    verb: Some(asked.verb.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.access.client().clone());
        let parameters = PostParams::default();
        let answer = read("ask for rights", || api.create(&parameters, &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_question_for_each_resource_verb_and_name() {
        let rule = Rule { group: "apps", resources: &["deployments"], names: vec!["shop".to_owned()], verbs: &["get", "patch"] };
        let told: Vec<String> = asked(&rule).iter().map(Asked::told).collect();
        assert_eq!(told, ["get deployments/shop", "patch deployments/shop"]);
        let all = Rule { group: "", resources: &["pods", "events"], names: Vec::new(), verbs: &["list"] };
        assert_eq!(asked(&all).iter().map(Asked::told).collect::<Vec<_>>(), ["list pods", "list events"]);
    }
}
