using System.Text.Json.Nodes;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api.Datasets;

/// <summary>The bodies of <c>POST /datasets</c> and the pages of the lists, for the OpenAPI document.</summary>
internal sealed class DatasetsOperation : IOperationFilter
{
    public void Apply(OpenApiOperation operation, OperationFilterContext context)
    {
        foreach (OpenApiParameter parameter in operation.Parameters?.OfType<OpenApiParameter>() ?? [])
        {
            if (operation.OperationId is not ("GetDatasets" or "GetDatasetItems" or "GetDataset" or "DeleteDataset"))
            {
                continue;
            }
            switch (parameter.Name)
            {
                case "id":
                    parameter.Description = "Id of the data set.";
                    break;
                case "offset":
                    parameter.Description = "How many to leave out. Default: 0.";
                    parameter.Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "0", Default = JsonValue.Create(0) };
                    break;
                case "limit":
                    parameter.Description = $"How many at most. Default: {DatasetsOptions.DefaultPage}.";
                    parameter.Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = $"{DatasetsOptions.MaxPage}", Default = JsonValue.Create(DatasetsOptions.DefaultPage) };
                    break;
                case "split":
                    parameter.Description = "Only photos of this split; none: those in no split. Default: all.";
                    parameter.Schema = new OpenApiSchema { Type = JsonSchemaType.String, Enum = ["train", "dev", "test", "none"] };
                    break;
            }
        }
        if (operation.OperationId != DatasetsApi.PostName)
        {
            return;
        }
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = "A form with files, or JSON that names a folder of the server.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["multipart/form-data"] = new OpenApiMediaType
                {
                    Schema = Object(["archive"], ("archive", Text("Zip, tar or tar.gz with photos, and captions if those are not a file of their own; or features as .npy.", "binary")),
                        ("captions", Text("The captions, where they are not in the archive.", "binary")), ("name", Text("Name of the data set. Default: the file's.")), ("language", Text("Language of the captions (BCP 47). Default: en."))),
                },
                [OpenApi.JsonBesideForm] = new OpenApiMediaType
                {
                    Schema = Object(["folder"], ("folder", Text("A folder of the server: below one of `Datasets:ImportFolders`.")), ("name", Text("Name of the data set. Default: the folder's.")), ("language", Text("Language of the captions (BCP 47). Default: en."))),
                    Example = JsonNode.Parse("""{ "folder": "/imports/birds", "name": "birds", "language": "en" }"""),
                },
            },
        };
        if (operation.Responses?.TryGetValue("201", out IOpenApiResponse? created) == true && created is OpenApiResponse answer)
        {
            answer.Description = "The data set is in; its photos are being looked through.";
            answer.Headers = new Dictionary<string, IOpenApiHeader>
            {
                ["Location"] = new OpenApiHeader { Description = "Where the data set is.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
            };
        }
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

    private static OpenApiSchema Text(string description, string? format = null) => new() { Type = JsonSchemaType.String, Format = format, Description = description };
}
