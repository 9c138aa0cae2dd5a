//! Weights in safetensors files, under PyTorch's names, shapes and layouts, with the model text in one metadata key.
//!
//! What is saved here loads in PyTorch with `load_state_dict(strict=True)`, and a state dict saved there loads here.

use super::safetensors::{self, Content};
use super::tensor::{Metadata, Tensor, Tensors};
use crate::error::{Error, Result, suggest};
use crate::graph::Graph;
use crate::params::{ParamRole, Params};
use crate::real::Real;
use std::path::Path;

/// The metadata key that holds the model text.
pub const MODEL_KEY: &str = "glassbox.model";

/// Arrays whose names start so are no parameters: checkpoints keep the optimiser's moments there. A layer's name holds
/// no slash, so none is hidden by it.
pub const RESERVED: &str = "optimizer/";

/// Every parameter as a named array; counts are 64-bit integers without axes, as in PyTorch.
pub fn to_tensors(params: &Params<f32>) -> Tensors {
    let tensor = |role: ParamRole, view: ndarray::ArrayViewD<'_, f32>| match role {
        ParamRole::Count => Tensor::I64(view.mapv(|v| v as i64)),
        _ => Tensor::F32(view.to_owned()),
    };
    params.iter().map(|(spec, view)| (spec.name.clone(), tensor(spec.decl.role, view))).collect()
}

/// Saves a net: weights, and the model text beside them. Errors: the file cannot be written.
pub fn save(path: impl AsRef<Path>, graph: &Graph, params: &Params<f32>) -> Result<()> {
    super::atomic::write(path, &to_bytes(graph, params)?)
}

/// The bytes of a file of weights, with the model text. Errors: none that a graph and its own parameters can cause.
pub fn to_bytes(graph: &Graph, params: &Params<f32>) -> Result<Vec<u8>> {
    let metadata =
        Metadata::from([(MODEL_KEY.to_string(), graph.to_toml()), ("format".to_string(), "pt".to_string())]);
    safetensors::to_bytes(&to_tensors(params), &metadata)
}

/// The model that rides along in a file, if one does. Errors: a model text that cannot be understood.
pub fn model_of(content: &Content, file: &str) -> Result<Option<Graph>> {
    content
        .metadata
        .get(MODEL_KEY)
        .map(|text| Graph::from_toml(text, &format!("{file} ({MODEL_KEY})")))
        .transpose()
}

/// The parameters of a graph out of a file's arrays. Errors: an array that is missing, too many, or of another shape.
pub fn from_content<R: Real>(content: &Content, graph: &Graph, file: impl AsRef<Path>) -> Result<Params<R>> {
    let file = file.as_ref();
    let layout = graph.layout();
    let names = content.tensors.keys().map(String::as_str);
    let names: Vec<&str> = names.filter(|name| !name.starts_with(RESERVED)).collect();
    let cure = "use the model that these weights were made with";
    if let Some(extra) = names.iter().find(|name| layout.find(name).is_none()) {
        let known: Vec<&str> = layout.specs().iter().map(|s| s.name.as_str()).collect();
        let problem =
            format!("model \"{}\" has no parameter of this name; {}", graph.name(), suggest(extra, &known));
        return Err(Error::corrupt(file, format!("array \"{extra}\""), problem, cure));
    }
    let mut params = Params::zeros(layout.clone());
    for spec in layout.specs() {
        let Some(tensor) = content.tensors.get(&spec.name) else {
            // PyTorch itself lets old files go without the count
            if spec.decl.role == ParamRole::Count {
                continue;
            }
            let problem = format!("it is missing; the file holds {}", names.join(", "));
            return Err(Error::corrupt(file, format!("parameter \"{}\"", spec.name), problem, cure));
        };
        if tensor.shape() != spec.decl.dims {
            let problem = format!("its shape is {:?}, the model's is {:?}", tensor.shape(), spec.decl.dims);
            return Err(Error::corrupt(file, format!("array \"{}\"", spec.name), problem, cure));
        }
        params.set(&spec.name, tensor.to_f64().mapv(R::of).view())?;
    }
    Ok(params)
}

/// Loads a net: the model given, or the one that rides along, and its weights. Errors: neither is there; they do not fit.
pub fn load<R: Real>(path: impl AsRef<Path>, model: Option<Graph>) -> Result<(Graph, Params<R>)> {
    let path = path.as_ref();
    let content = safetensors::read(path)?;
    let riding = match model {
        Some(graph) => Some(graph),
        None => model_of(&content, &path.display().to_string())?,
    };
    let graph = riding.ok_or_else(|| {
        Error::request(
            format!("{} holds no model text", path.display()),
            "name the model with --model NAME or FILE",
        )
    })?;
    let params = from_content(&content, &graph, path)?;
    Ok((graph, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Init, models};

    #[test]
    fn a_net_survives_its_file_and_misfits_are_named() {
        let graph = models::named("resnet-small").unwrap();
        let params = graph.init::<f32>(Init::He, 3);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("net.safetensors");
        save(&file, &graph, &params).unwrap();
        let (again, loaded) = load::<f32>(&file, None).unwrap();
        assert_eq!(again.to_toml(), graph.to_toml());
        assert_eq!(loaded.slab(), params.slab());
        let error = load::<f32>(&file, Some(models::named("lenet").unwrap())).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("model \"lenet\" has no parameter"), "{error}");
    }

    #[test]
    fn counts_are_integers_without_axes() {
        let graph = models::named("resnet-small").unwrap();
        let tensors = to_tensors(&graph.init::<f32>(Init::He, 3));
        assert!(matches!(&tensors["bn1.num_batches_tracked"], Tensor::I64(a) if a.ndim() == 0));
    }
}
