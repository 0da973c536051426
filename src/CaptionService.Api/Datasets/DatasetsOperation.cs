using System.Text.Json.Nodes;
using Microsoft.OpenApi;

namespace CaptionService.Api.Datasets;

/// <summary>The body of <c>POST /datasets</c> and the parameters of the lists, in the OpenAPI document.</summary>
internal static class DatasetsOperation
{
    public static void DescribePost(OpenApiOperation operation)
    {
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = "A form with files, or JSON that names a folder of the server or the corrections.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["multipart/form-data"] = new OpenApiMediaType
                {
                    Schema = Object(["archive"], ("archive", RouteTexts.Text("Zip, tar or tar.gz with photos, and captions if those are not a file of their own; or features as .npy.", "binary")),
                        ("captions", RouteTexts.Text("The captions, where they are not in the archive.", "binary")), ("name", RouteTexts.Text("Name of the data set. Default: the file's.")), ("language", RouteTexts.Text("Language of the captions (BCP 47). Default: en."))),
                },
                [OpenApi.JsonBesideForm] = new OpenApiMediaType
                {
                    Schema = Object([], ("folder", RouteTexts.Text("A folder of the server: below one of `Datasets:ImportFolders`.")),
                        ("feedback", new OpenApiSchema { Type = JsonSchemaType.Boolean, Description = "Instead of a folder: whether to make it of the corrections in its language whose photos are kept. Default: false." }),
                        ("name", RouteTexts.Text("Name of the data set. Default: the folder's, or feedback.")), ("language", RouteTexts.Text("Language of the captions (BCP 47). Default: en."))),
                    Example = JsonNode.Parse("""{ "folder": "/imports/birds", "name": "birds", "language": "en" }"""),
                },
            },
        };
        operation.Answer("201")?.Description = "The data set is in; its photos are being looked through.";
        operation.Location("201", "Where the data set is.");
    }

    public static void DescribeId(OpenApiOperation operation) => operation.Parameter("id").Description = "Id of the data set.";

    public static void DescribeName(OpenApiOperation operation) => operation.Parameter("name").Description = "Name of the photo, as `GET /datasets/{id}/items` has it.";

    public static void DescribeSplit(OpenApiOperation operation)
    {
        OpenApiParameter split = operation.Parameter("split");
        split.Description = "Only photos of this split; none: those in no split. Default: all.";
        split.Schema = new OpenApiSchema { Type = JsonSchemaType.String, Enum = ["train", "dev", "test", "none"] };
    }

    private static OpenApiSchema Object(string[] required, params (string Name, OpenApiSchema Schema)[] properties)
    {
        foreach ((_, OpenApiSchema schema) in properties.Where(property => !required.Contains(property.Name)))
        {
            schema.Type |= JsonSchemaType.Null;     // generated clients leave it out then
        }
        return new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Required = required.ToHashSet(),
            Properties = properties.ToDictionary(property => property.Name, property => (IOpenApiSchema)property.Schema),
            AdditionalPropertiesAllowed = false,
        };
    }
}
