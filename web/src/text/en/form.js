// The form view.
export default {
  "view.form": "Form",
  "form.none": "Nothing is in the form yet. Choose “Show in the form” in the menu of a field.",
  "form.no_document": "No workflow is open.",
  "form.no_results": "Results appear here.",
  "form.results": "Results",
  "form.preview": "The picture so far",
  "form.copy_link": "Copy link",
  "form.copied": "Copied: the link opens this form with its values.",
  "form.from_link": "Values of the link",
  "form.bad_value": "{name} of the link was left out: {reason}",
  "form.no_choice": "one of {choices}",
};
