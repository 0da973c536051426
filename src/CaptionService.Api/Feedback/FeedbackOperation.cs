using System.Text.Json.Nodes;
using Microsoft.OpenApi;

namespace CaptionService.Api.Feedback;

/// <summary>The body of <c>POST /feedback</c> and the parameters of the others, in the OpenAPI document.</summary>
internal static class FeedbackOperation
{
    public static void DescribePost(OpenApiOperation operation)
    {
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = "A form with the photo as a file, or JSON with it in base64; or with its digest alone.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["multipart/form-data"] = new OpenApiMediaType { Schema = Members(("photo", RouteTexts.Text("The photo, where it may be kept to train on.", "binary"))) },
                [OpenApi.JsonBesideForm] = new OpenApiMediaType
                {
                    Schema = Members(("photo", RouteTexts.Text("The photo in base64 or as a data: URL, where it may be kept to train on.", "byte"))),
                    Example = JsonNode.Parse("""{ "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "given": "A bird on a branch.", "caption": "A red parrot sits on a branch.", "language": "en" }"""),
                },
            },
        };
        operation.Answer("201")?.Description = "It is kept.";
        operation.Location("201", "Where the correction is.");
    }

    public static void DescribeId(OpenApiOperation operation) => operation.Parameter("id").Description = "Id of the correction.";

    public static void DescribeLanguage(OpenApiOperation operation) => operation.Parameter("language").Description = "Only corrections in this language (BCP 47). Default: all.";

    private static OpenApiSchema Members((string Name, OpenApiSchema Schema) photo)
    {
        (string Name, OpenApiSchema Schema)[] members =
        [
            photo, ("digest", RouteTexts.Text("SHA-256 of the photo's file in hexadecimal digits, instead of the photo.")), ("caption", RouteTexts.Text("The right caption: one line of at most 500 characters.")),
            ("given", RouteTexts.Text("The caption that was given.")), ("language", RouteTexts.Text("Language of the right one (BCP 47). Default: en.")), ("who", RouteTexts.Text("Who says so: at most 100 characters.")),
        ];
        foreach ((_, OpenApiSchema schema) in members.Where(member => member.Name != "caption"))
            schema.Type |= JsonSchemaType.Null;     // generated clients leave it out then
        return new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Required = new HashSet<string> { "caption" },
            Properties = members.ToDictionary(member => member.Name, member => (IOpenApiSchema)member.Schema),
            AdditionalPropertiesAllowed = false,
        };
    }
}
