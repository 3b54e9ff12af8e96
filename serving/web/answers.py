"""An answer on the page: the category's path, how sure the model is, bars."""

from typing import Any

import streamlit as st

from serving.web.plain_text import markdown, path


def show(answer: dict[str, Any]) -> None:
    """Shows the answer of `/v1/products:classify`."""
    best = answer['categories'][0]['path']
    st.subheader(path(best))
    _show_sure(answer['sure']['level'], best)
    st.markdown(f'**The {len(answer["categories"])} most probable categories**')
    for category in answer['categories']:
        _show_bar(category)
    st.caption(_times(answer))


def _show_sure(level: int, best: list[str]) -> None:
    if level == len(best):
        st.success('The model is sure of this category.')
    elif level:
        st.warning(
            f'The model is sure of {path(best[:level])}, but not of the rest. '
            'More photos of the product may help.'
        )
    else:
        st.warning(
            'The model is not sure. Add more photos of the product, or choose a category yourself.'
        )


def _show_bar(category: dict[str, Any]) -> None:
    *parents, leaf = category['path']
    confidence = category['confidence']
    above = f':gray[{path(parents)} ›] ' if parents else ''
    st.progress(confidence, text=f'**{confidence:.1%}** {above}{markdown(leaf)}')


def _times(answer: dict[str, Any]) -> str:
    model = answer['model']
    version = f', version {model["version"]}' if model['version'] else ''
    return (
        f'Answered in {answer["response_time"]:.3f} s, of which the model took '
        f'{answer["model_inference_time"]:.3f} s. Model {markdown(model["name"] + version)}.'
    )
