# Stands for Beam's image and for the image of the launcher of flex templates, of which the project's
# images copy one program each. The launcher needs a machine of Google's: here it is a file only.
FROM scratch
COPY beam_boot.py /opt/apache/beam/boot
COPY launcher /opt/google/dataflow/python_template_launcher
